package main

import (
	"fmt"
	"go/types"
	"strings"
)

const module = "github.com/orderfsm/orderfsm/"

func short(path string) string { return strings.TrimPrefix(path, module) }

// exported describes every exported name of a package, and those of its types' fields and methods.
func exported(p *types.Package) (lines []string) {
	others := func(q *types.Package) string {
		if q == p {
			return ""
		}
		return short(q.Path())
	}
	add := func(format string, args ...any) {
		lines = append(lines, short(p.Path())+": "+fmt.Sprintf(format, args...))
	}
	text := func(t types.Type) string { return types.TypeString(t, others) }
	signature := func(f *types.Func) string { return strings.TrimPrefix(text(f.Type()), "func") }

	for _, name := range p.Scope().Names() {
		obj := p.Scope().Lookup(name)
		if !obj.Exported() {
			continue
		}
		switch o := obj.(type) {
		case *types.Const:
			add("const %s %s = %s", name, text(o.Type()), o.Val().ExactString())
		case *types.Var:
			add("var %s %s", name, text(o.Type()))
		case *types.Func:
			add("func %s%s", name, signature(o))
		case *types.TypeName:
			if o.IsAlias() {
				add("type %s = %s", name, text(o.Type()))
				continue
			}
			switch u := o.Type().Underlying().(type) {
			case *types.Struct:
				add("type %s struct", name)
				for i := range u.NumFields() {
					if f := u.Field(i); f.Exported() {
						add("%s", strings.TrimSpace(fmt.Sprintf("field %s.%s %s %s", name, f.Name(),
							text(f.Type()), tag(u, i))))
					}
				}
			case *types.Interface:
				add("type %s interface", name)
				// An unexported method counts too: it keeps others from implementing the interface.
				for i := range u.NumMethods() {
					add("method %s.%s%s", name, u.Method(i).Name(), signature(u.Method(i)))
				}
				continue
			default:
				add("type %s %s", name, text(u))
			}
			methods := types.NewMethodSet(types.NewPointer(o.Type()))
			for i := range methods.Len() {
				m := methods.At(i)
				if f, ok := m.Obj().(*types.Func); ok && f.Exported() {
					add("method %s.%s%s", receiver(o, f), f.Name(), signature(f))
				}
			}
		}
	}
	return lines
}

// tag is a field's tag, which says how it is stored, and whether the field is embedded.
func tag(s *types.Struct, i int) (text string) {
	if s.Field(i).Embedded() {
		text = "embedded "
	}
	if s.Tag(i) != "" {
		text += "`" + s.Tag(i) + "`"
	}
	return text
}

// receiver is the type, with a star if only its pointer has the method.
func receiver(o *types.TypeName, f *types.Func) string {
	values := types.NewMethodSet(o.Type())
	if values.Lookup(f.Pkg(), f.Name()) == nil {
		return "(*" + o.Name() + ")"
	}
	return o.Name()
}
