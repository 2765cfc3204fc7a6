module github.com/orderfsm/orderfsm/examples/gorm

go 1.25.0

replace (
	github.com/orderfsm/orderfsm => ../..
	github.com/orderfsm/orderfsm/adapters/sqlstore => ../../adapters/sqlstore
)

require (
	github.com/glebarez/sqlite v1.11.0
	github.com/orderfsm/orderfsm v0.0.0-00010101000000-000000000000
	github.com/orderfsm/orderfsm/adapters/sqlstore v0.0.0-00010101000000-000000000000
	github.com/stretchr/testify v1.9.0
	gorm.io/gorm v1.25.12
)

require (
	github.com/davecgh/go-spew v1.1.1 // indirect
	github.com/dustin/go-humanize v1.0.1 // indirect
	github.com/glebarez/go-sqlite v1.21.2 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/jinzhu/inflection v1.0.0 // indirect
	github.com/jinzhu/now v1.1.5 // indirect
	github.com/looplab/fsm v1.0.0 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
	github.com/ncruces/go-strftime v0.1.9 // indirect
	github.com/pmezard/go-difflib v1.0.0 // indirect
	github.com/remyoudompheng/bigfft v0.0.0-20230129092748-24d4a6f8daec // indirect
	golang.org/x/sys v0.22.0 // indirect
	golang.org/x/text v0.16.0 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
	modernc.org/libc v1.55.3 // indirect
	modernc.org/mathutil v1.6.0 // indirect
	modernc.org/memory v1.8.0 // indirect
	modernc.org/sqlite v1.32.0 // indirect
)
