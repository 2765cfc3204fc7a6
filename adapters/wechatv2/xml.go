package wechatv2

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// encode writes m as a flat <xml> message. Values are escaped with entities; signatures cover the
// raw values.
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

// entities are the entities of XML, by name.
var entities = map[string]string{"lt": "<", "gt": ">", "amp": "&", "apos": "'", "quot": `"`}

// escapes replace bytes of a value. White space is escaped too: an XML reader would normalize it,
// and the signature would not match.
var escapes = [256]string{
	'&': "&amp;", '<': "&lt;", '>': "&gt;", '"': "&#34;", '\'': "&#39;",
	'\t': "&#9;", '\n': "&#10;", '\r': "&#13;",
}

func appendEscaped(b []byte, value string) []byte {
	done := 0
	for i := range len(value) {
		if escaped := escapes[value[i]]; escaped != "" {
			b = append(append(b, value[done:i]...), escaped...)
			done = i + 1
		}
	}
	return append(b, value[done:]...)
}

// maxFields bounds the elements of one message. A query's answer with ten refunds has about two
// hundred.
const maxFields = 1000

// decode reads a flat <xml> message.
func decode(body []byte) (fields, error) { return decodeRoot(body, "xml") }

// decodeRoot reads a flat message whose root element has the given name. It accepts this form only.
// A document type or another directive, a processing instruction, a comment, an attribute, a nested
// element, a repeated name, another root, text beside the elements or after the root, and bytes
// that are not UTF-8 are errors. Errors do not quote the message. Unknown fields are kept, because
// they are signed.
//
// encoding/xml reads every accepted message to the same fields (FuzzDecodeDifferential).
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

// reader has read a message up to at.
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
		return nil, errors.New("something after the root")
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
			return errors.New("element occurs twice")
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

// start reads a start tag. empty reports a tag that is also the end tag.
func (r *reader) start() (name string, empty bool, err error) {
	if !r.skip("<") {
		return "", false, r.unexpected()
	}
	from := r.at
	for r.at < len(r.text) && r.text[r.at] > ' ' && r.text[r.at] != '/' && r.text[r.at] != '>' {
		r.at++
	}
	name = r.text[from:r.at]
	// If names could have = or &, two messages could have the same signature.
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

// reference reads the text after an ampersand: one of the five entities of XML, or a character's
// number.
func (r *reader) reference() (string, error) {
	const longest = len("#x0010FFFF")
	n := strings.IndexByte(r.rest()[:min(len(r.rest()), longest+1)], ';')
	if n < 0 {
		return "", errors.New("reference without an end")
	}
	ref := r.take(n)
	r.at++
	if text, ok := entities[ref]; ok {
		return text, nil
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

// declaration reads the <?xml …?> of a UTF-8 message.
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

// unexpected returns an error that describes the next text, which is not the expected element.
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

// characters returns text with one line feed for each end of line. It returns an error for a
// character that XML does not allow.
func characters(text string) (string, error) {
	lines := true
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c >= ' ' && c != 0xEF: // the usual
		case c == '\r':
			lines = false
		case c < ' ' && c != '\t' && c != '\n':
			return "", errors.New("control character")
		case c != 0xEF:
		case strings.HasPrefix(text[i:], "\uFFFE"), strings.HasPrefix(text[i:], "\uFFFF"):
			return "", errors.New("not a character of XML")
		}
	}
	if !lines {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	}
	return text, nil
}

// character reports whether XML allows c.
func character(c rune) bool {
	return c == '\t' || c == '\n' || c == '\r' ||
		' ' <= c && utf8.ValidRune(c) && c != 0xFFFE && c != 0xFFFF
}
