module example.com/gorm

go 1.25.0

require (
	github.com/go-sql-driver/mysql v1.7.1
	github.com/shopspring/decimal v1.3.1
	gorm.io/driver/mysql v1.5.2
	gorm.io/gorm v1.25.5
)
