package wechatv2

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// encode writes m as a flat <xml> message. The values are escaped with entities; signatures are made over the
// raw ones.
func encode(m message) []byte {
	size := len("<xml></xml>")
	for _, e := range m {
		size += 2*len(e.name) + len(e.value) + len("<></>")
	}
	b := append(make([]byte, 0, size+64), "<xml>"...) // entities seldom need more
	for _, e := range m {
		if e.value == "" {
			continue
		}
		b = append(b, '<')
		b = append(b, e.name...)
		b = append(b, '>')
		b = appendEscaped(b, e.value)
		b = append(b, "</"...)
		b = append(b, e.name...)
		b = append(b, '>')
	}
	return append(b, "</xml>"...)
}

// appendEscaped also escapes white space that an XML reader would normalize, so that the reader signs what
// we signed.
func appendEscaped(b []byte, value string) []byte {
	done := 0
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c > '>' || '(' <= c && c < '<' {
			continue // the usual
		}
		var escaped string
		switch c {
		case '&':
			escaped = "&amp;"
		case '<':
			escaped = "&lt;"
		case '>':
			escaped = "&gt;"
		case '"':
			escaped = "&#34;"
		case '\'':
			escaped = "&#39;"
		case '\t':
			escaped = "&#9;"
		case '\n':
			escaped = "&#10;"
		case '\r':
			escaped = "&#13;"
		default:
			continue
		}
		b = append(append(b, value[done:i]...), escaped...)
		done = i + 1
	}
	return append(b, value[done:]...)
}

// maxFields bounds the elements of one message. A query's answer with ten refunds has about two hundred.
const maxFields = 1000

// decode reads a flat <xml> message.
func decode(body []byte) (fields, error) { return decodeRoot(body, "xml") }

// decodeRoot reads a flat message whose root element has the given name. It is a reader for this form only, and
// strict: a document type or another directive, a processing instruction, a comment, an attribute, a nested
// element, a name that stands twice, another root, text beside the elements or behind the root, and anything
// that is not UTF-8 are errors. Errors do not quote the message. Unknown fields are kept: they are signed.
//
// What it accepts, encoding/xml reads to the same fields (FuzzDecodeDifferential).
func decodeRoot(body []byte, root string) (fields, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("not UTF-8")
	}
	r := reader{text: string(body)}
	f, err := r.message(root)
	if err != nil {
		return nil, fmt.Errorf("%w, at byte %d", err, r.at)
	}
	return f, nil
}

// reader walks through a message, and has read it up to at.
type reader struct {
	text string
	at   int
}

func (r *reader) message(root string) (fields, error) {
	if r.ahead("<?xml") {
		if err := r.declaration(); err != nil {
			return nil, err
		}
	}
	if r.space(); r.rest() == "" {
		return nil, fmt.Errorf("no <%s> element", root)
	}
	name, empty, err := r.start()
	if err != nil {
		return nil, err
	}
	if name != root {
		return nil, fmt.Errorf("root is not <%s>", root)
	}
	f := make(fields, min(strings.Count(r.rest(), "</"), maxFields))
	if !empty {
		if err := r.elements(f); err != nil {
			return nil, err
		}
		if err := r.end(root); err != nil {
			return nil, err
		}
	}
	if r.space(); r.rest() != "" {
		return nil, errors.New("something behind the root")
	}
	return f, nil
}

// elements reads up to the root's end tag.
func (r *reader) elements(f fields) error {
	for r.space(); !r.ahead("</"); r.space() {
		name, empty, err := r.start()
		if err != nil {
			return err
		}
		if _, twice := f[name]; twice {
			return errors.New("element stands twice")
		}
		if len(f) == maxFields {
			return fmt.Errorf("more than %d elements", maxFields)
		}
		value := ""
		if !empty {
			if value, err = r.value(); err != nil {
				return err
			}
			if err := r.end(name); err != nil {
				return err
			}
		}
		f[name] = value
	}
	return nil
}

// start reads a start tag; empty is one that is its own end.
func (r *reader) start() (name string, empty bool, err error) {
	if !r.skip("<") {
		return "", false, r.unexpected()
	}
	from := r.at
	for r.at < len(r.text) && r.text[r.at] > ' ' && r.text[r.at] != '/' && r.text[r.at] != '>' {
		r.at++
	}
	name = r.text[from:r.at]
	// Only plain names: with = or & in one, two messages could have the same signature.
	if name == "" || strings.IndexByte("0123456789-.", name[0]) >= 0 || !plain(name, "_-.") {
		return "", false, errors.New("element name with unexpected characters")
	}
	r.space()
	if empty = r.skip("/>"); !empty && !r.skip(">") {
		return "", false, errors.New("attribute, or start tag without an end")
	}
	return name, empty, nil
}

func (r *reader) end(name string) error {
	if r.skip("</") && r.skip(name) {
		if r.space(); r.skip(">") {
			return nil
		}
	}
	return errors.New("wrong end tag")
}

// value reads up to an end tag: text, references and CDATA sections, in any number.
func (r *reader) value() (string, error) {
	first, err := r.piece()
	if err != nil || r.ahead("</") {
		return first, err // the usual value is one piece of the message
	}
	b := []byte(first)
	for !r.ahead("</") {
		piece, err := r.piece()
		if err != nil {
			return "", err
		}
		b = append(b, piece...)
	}
	return string(b), nil
}

func (r *reader) piece() (string, error) {
	if r.skip("<![CDATA[") {
		n := strings.Index(r.rest(), "]]>")
		if n < 0 {
			return "", errors.New("CDATA section without an end")
		}
		text := r.take(n)
		r.at += len("]]>")
		return characters(text)
	}
	if r.skip("&") {
		return r.reference()
	}
	n := strings.IndexByte(r.rest(), '<')
	if n < 0 {
		return "", errors.New("element without an end")
	}
	if n == 0 && !r.ahead("</") {
		return "", r.unexpected()
	}
	if and := strings.IndexByte(r.rest()[:n], '&'); and >= 0 {
		n = and
	}
	text := r.take(n)
	if strings.Contains(text, "]]>") {
		return "", errors.New("]]> outside a CDATA section")
	}
	return characters(text)
}

// reference reads what follows an ampersand: one of XML's own five entities, or a character's number.
func (r *reader) reference() (string, error) {
	const longest = len("#x0010FFFF")
	n := strings.IndexByte(r.rest()[:min(len(r.rest()), longest+1)], ';')
	if n < 0 {
		return "", errors.New("reference without an end")
	}
	ref := r.take(n)
	r.at++
	switch ref {
	case "lt":
		return "<", nil
	case "gt":
		return ">", nil
	case "amp":
		return "&", nil
	case "apos":
		return "'", nil
	case "quot":
		return `"`, nil
	}
	digits, ok := strings.CutPrefix(ref, "#")
	base := 10
	if hex, isHex := strings.CutPrefix(digits, "x"); isHex {
		digits, base = hex, 16
	}
	c, err := strconv.ParseUint(digits, base, 32)
	if !ok || err != nil || c > utf8.MaxRune || !character(rune(c)) {
		return "", errors.New("unknown reference")
	}
	return string(rune(c)), nil
}

// declaration reads <?xml …?> as UTF-8 messages have it.
func (r *reader) declaration() error {
	for _, text := range []string{
		`<?xml version="1.0" encoding="UTF-8"?>`, `<?xml version="1.0" encoding="utf-8"?>`,
		`<?xml version="1.0" encoding="UTF-8" standalone="yes"?>`, `<?xml version="1.0"?>`,
	} {
		if r.skip(text) {
			return nil
		}
	}
	return errors.New("not the XML declaration of version 1.0 and UTF-8")
}

// unexpected tells what stands where an element should.
func (r *reader) unexpected() error {
	switch {
	case r.rest() == "":
		return errors.New("element without an end")
	case r.ahead("<!--"):
		return errors.New("comment")
	case r.ahead("<!"):
		return errors.New("document type or another directive")
	case r.ahead("<?"):
		return errors.New("processing instruction")
	case r.ahead("<"):
		return errors.New("nested element")
	}
	return errors.New("text beside the elements")
}

func (r *reader) rest() string { return r.text[r.at:] }

func (r *reader) ahead(s string) bool { return strings.HasPrefix(r.rest(), s) }

func (r *reader) skip(s string) bool {
	if !r.ahead(s) {
		return false
	}
	r.at += len(s)
	return true
}

func (r *reader) take(n int) string {
	r.at += n
	return r.text[r.at-n : r.at]
}

func (r *reader) space() {
	for r.at < len(r.text) && isSpace(r.text[r.at]) {
		r.at++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// characters returns text as XML reads it, with one line feed for each end of line, or an error if it holds
// what XML cannot.
func characters(text string) (string, error) {
	lines := true
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c >= ' ' && c != 0xEF: // the usual
		case c == '\r':
			lines = false
		case c < ' ' && c != '\t' && c != '\n':
			return "", errors.New("control character")
		case c == 0xEF && (strings.HasPrefix(text[i:], "\uFFFE") || strings.HasPrefix(text[i:], "\uFFFF")):
			return "", errors.New("not a character of XML")
		}
	}
	if !lines {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	}
	return text, nil
}

// character reports whether XML may hold c.
func character(c rune) bool {
	return c == '\t' || c == '\n' || c == '\r' || ' ' <= c && utf8.ValidRune(c) && c != 0xFFFE && c != 0xFFFF
}

// plain reports whether s has only ASCII letters, digits and the characters of extra.
func plain(s, extra string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if ('0' > c || c > '9') && ('A' > c || c > 'Z') && ('a' > c || c > 'z') && strings.IndexByte(extra, c) < 0 {
			return false
		}
	}
	return true
}
