module github.com/orderfsm/orderfsm

go 1.25.0

require (
	github.com/davecgh/go-spew v1.1.1
	github.com/google/wire v0.5.0
	github.com/looplab/fsm v1.0.0
	github.com/stretchr/testify v1.9.0
	go.uber.org/goleak v1.3.0
	golang.org/x/time v0.5.0
	pgregory.net/rapid v1.1.0
	software.sslmate.com/src/go-pkcs12 v0.4.0
)

require (
	github.com/kr/text v0.2.0 // indirect
	github.com/pmezard/go-difflib v1.0.0 // indirect
	golang.org/x/crypto v0.11.0 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
)
