module github.com/orderfsm/orderfsm/examples/customhooks

go 1.25.0

replace (
	github.com/orderfsm/orderfsm => ../..
	github.com/orderfsm/orderfsm/adapters/sqlstore => ../../adapters/sqlstore
)

require (
	github.com/orderfsm/orderfsm v0.0.0-00010101000000-000000000000
	github.com/orderfsm/orderfsm/adapters/sqlstore v0.0.0-00010101000000-000000000000
	github.com/stretchr/testify v1.9.0
	modernc.org/sqlite v1.32.0
)

require (
	github.com/davecgh/go-spew v1.1.1 // indirect
	github.com/dustin/go-humanize v1.0.1 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/hashicorp/golang-lru/v2 v2.0.7 // indirect
	github.com/looplab/fsm v1.0.0 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
	github.com/ncruces/go-strftime v0.1.9 // indirect
	github.com/pmezard/go-difflib v1.0.0 // indirect
	github.com/remyoudompheng/bigfft v0.0.0-20230129092748-24d4a6f8daec // indirect
	golang.org/x/sys v0.22.0 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
	modernc.org/gc/v3 v3.0.0-20240107210532-573471604cb6 // indirect
	modernc.org/libc v1.55.3 // indirect
	modernc.org/mathutil v1.6.0 // indirect
	modernc.org/memory v1.8.0 // indirect
	modernc.org/strutil v1.2.0 // indirect
	modernc.org/token v1.1.0 // indirect
)
