package main

import (
	"fmt"
	"log"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/adapters/sqlstore/pgxtx"
)

func main() {
	pool, err := open()
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	if _, err := pgxtx.New(pool, sqlstore.Options{}); err != nil {
		log.Fatal(err)
	}
	fmt.Println("a store on pgx")
}
