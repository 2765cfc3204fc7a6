package main

import (
	"fmt"
	"log"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
)

func main() {
	orm, err := open()
	if err != nil {
		log.Fatal(err)
	}
	db, err := orm.DB()
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if _, err := sqlstore.New(db, sqlstore.MySQL, sqlstore.Options{}); err != nil {
		log.Fatal(err)
	}
	fmt.Println("a store on GORM's database")
}
