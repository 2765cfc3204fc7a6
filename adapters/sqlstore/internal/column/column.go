// Package column maps the columns of a table to the fields of a struct.
package column

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orderfsm/orderfsm/order"
)

// Column is a column of a table and the field of a T that it holds.
type Column[T any] struct {
	name   string
	dest   func(v *T) any // what Scan writes to
	most   int            // the characters that a text may have
	text   func(v *T) string
	number func(v *T) (n int64, valid bool) // not valid is NULL; nil if the column holds text
}

// Text is a column that holds at most this many characters.
func Text[T any, S ~string](name string, most int, field func(v *T) *S) Column[T] {
	return Column[T]{
		name: name, most: most, dest: func(v *T) any { return field(v) },
		text: func(v *T) string { return string(*field(v)) },
	}
}

// Number is a column that holds an integer.
func Number[T any, N int | int64](name string, field func(v *T) *N) Column[T] {
	return Column[T]{
		name: name, dest: func(v *T) any { return field(v) },
		number: func(v *T) (int64, bool) { return int64(*field(v)), true },
	}
}

// Flag is a column that holds 0 or 1.
func Flag[T any](name string, field func(v *T) *bool) Column[T] {
	return Column[T]{
		name: name, dest: func(v *T) any { return (*flag)(field(v)) },
		number: func(v *T) (int64, bool) {
			if *field(v) {
				return 1, true
			}
			return 0, true
		},
	}
}

// Time is a column that holds microseconds since 1970. The zero time is in the year 1.
func Time[T any](name string, field func(v *T) *time.Time) Column[T] {
	return Column[T]{
		name: name, dest: func(v *T) any { return TimeDest(field(v)) },
		number: func(v *T) (int64, bool) { return field(v).UnixMicro(), true },
	}
}

// OptionalTime is a column that holds microseconds since 1970, or NULL for the zero time.
func OptionalTime[T any](name string, field func(v *T) *time.Time) Column[T] {
	return Column[T]{
		name: name, dest: func(v *T) any { return (*optionalTime)(field(v)) },
		number: func(v *T) (int64, bool) { return field(v).UnixMicro(), !field(v).IsZero() },
	}
}

// value returns what is stored of v: a string, an int64 or nil.
func (c Column[T]) value(v *T) any {
	if c.number == nil {
		return c.text(v)
	}
	if n, valid := c.number(v); valid {
		return n
	}
	return nil
}

// same reports whether the same is stored of a and b.
func (c Column[T]) same(a, b *T) bool {
	if c.number == nil {
		return c.text(a) == c.text(b)
	}
	n, valid := c.number(a)
	m, alsoValid := c.number(b)
	return n == m && valid == alsoValid
}

// List is the columns of a table.
type List[T any] []Column[T]

// Dest returns where Scan puts the columns of v.
func (l List[T]) Dest(v *T) []any {
	dest := make([]any, len(l))
	for i, c := range l {
		dest[i] = c.dest(v)
	}
	return dest
}

// Values returns what the columns hold of v.
func (l List[T]) Values(v *T) []any {
	values := make([]any, len(l))
	for i, c := range l {
		values[i] = c.value(v)
	}
	return values
}

// Names lists the columns, each after a prefix.
func (l List[T]) Names(prefix string) string {
	return l.join(func(c Column[T]) string { return prefix + c.name })
}

// Blanks lists a constant of each column's type.
func (l List[T]) Blanks() string {
	return l.join(func(c Column[T]) string {
		if c.number == nil {
			return "''"
		}
		return "0"
	})
}

func (l List[T]) join(of func(c Column[T]) string) string {
	parts := make([]string, len(l))
	for i, c := range l {
		parts[i] = of(c)
	}
	return strings.Join(parts, ", ")
}

// Assignment is a column and a value for it.
type Assignment struct {
	Column string
	Value  any
}

// Assign returns the assignment of a value to a column.
func Assign(column string, value any) Assignment { return Assignment{column, value} }

// Changed returns the columns whose values differ. MySQL counts the rows that an UPDATE changes and
// not those that it finds, so that an UPDATE must change something.
func (l List[T]) Changed(before, after *T) (set []Assignment) {
	for _, c := range l {
		if !c.same(before, after) {
			set = append(set, Assign(c.name, c.value(after)))
		}
	}
	return set
}

// Check refuses text that a database would cut, change or refuse. Text is stored exactly or not at
// all.
func (l List[T]) Check(v *T) error {
	for _, c := range l {
		if c.number != nil {
			continue
		}
		s, problem := c.text(v), ""
		switch {
		case !utf8.ValidString(s), strings.ContainsRune(s, 0):
			problem = "is not valid UTF-8 without NUL"
		case utf8.RuneCountInString(s) > c.most:
			problem = fmt.Sprintf("must have at most %d characters", c.most)
		default:
			continue
		}
		// from and to are words of SQL, so that their columns have longer names.
		return &order.InvalidError{Field: strings.TrimSuffix(c.name, "_state"), Problem: problem}
	}
	return nil
}
