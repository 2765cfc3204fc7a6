// Package sqlite3 has errors that look like those of github.com/mattn/go-sqlite3 and
// github.com/ncruces/go-sqlite3, for tests: neither driver is needed to read them.
package sqlite3

// ErrNo is mattn's type of a code.
type ErrNo int

// ErrNoExtended is mattn's type of an extended code.
type ErrNoExtended int

// Error is mattn's error. It says nothing, so that its text decides nothing.
type Error struct {
	Code         ErrNo
	ExtendedCode ErrNoExtended
}

// Error implements error.
func (Error) Error() string { return "" }

// Methods returns an error as ncruces has it.
func Methods(extended uint16) error {
	type Error struct{ methods } // of the same name, as a type must have
	return &Error{methods{extended}}
}

type methods struct{ extended uint16 }

// Error implements error.
func (methods) Error() string { return "" }

// ExtendedCode is ncruces' method.
func (m methods) ExtendedCode() uint16 { return m.extended }
