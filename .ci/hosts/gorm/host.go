// Command gorm is a host with MySQL, by GORM.
package main

import (
	"database/sql"

	driver "github.com/go-sql-driver/mysql"
	"github.com/shopspring/decimal"
	"gorm.io/driver/mysql"
	"gorm.io/gorm"
)

var _ = decimal.New

// open does not connect.
func open() (*gorm.DB, error) {
	connector, err := driver.NewConnector(driver.NewConfig())
	if err != nil {
		return nil, err
	}
	return gorm.Open(
		mysql.New(mysql.Config{Conn: sql.OpenDB(connector), SkipInitializeWithVersion: true}),
		&gorm.Config{DisableAutomaticPing: true},
	)
}
