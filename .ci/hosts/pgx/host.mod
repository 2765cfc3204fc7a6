module example.com/pgx

go 1.25.0

require (
	github.com/google/uuid v1.3.0
	github.com/jackc/pgx/v5 v5.5.5
	github.com/shopspring/decimal v1.3.1
)
