module github.com/orderfsm/orderfsm/adapters/riverqueue

go 1.25.0

replace (
	github.com/orderfsm/orderfsm => ../..
	github.com/orderfsm/orderfsm/adapters/sqlstore => ../sqlstore
)

require (
	github.com/jackc/pgx/v5 v5.7.5
	github.com/orderfsm/orderfsm v0.0.0-00010101000000-000000000000
	github.com/orderfsm/orderfsm/adapters/sqlstore v0.0.0-00010101000000-000000000000
	github.com/riverqueue/river v0.24.0
	github.com/riverqueue/river/riverdriver v0.24.0
	github.com/riverqueue/river/riverdriver/riverdatabasesql v0.24.0
	github.com/riverqueue/river/riverdriver/riverpgxv5 v0.24.0
	github.com/riverqueue/river/rivertype v0.24.0
	github.com/stretchr/testify v1.10.0
	go.uber.org/goleak v1.3.0
)

require (
	github.com/davecgh/go-spew v1.1.1 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/puddle/v2 v2.2.2 // indirect
	github.com/lib/pq v1.10.9 // indirect
	github.com/looplab/fsm v1.0.0 // indirect
	github.com/pmezard/go-difflib v1.0.0 // indirect
	github.com/riverqueue/river/rivershared v0.24.0 // indirect
	github.com/tidwall/gjson v1.18.0 // indirect
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.1 // indirect
	github.com/tidwall/sjson v1.2.5 // indirect
	golang.org/x/crypto v0.37.0 // indirect
	golang.org/x/sync v0.16.0 // indirect
	golang.org/x/text v0.28.0 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
)
