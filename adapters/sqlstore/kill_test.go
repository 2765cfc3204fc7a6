package sqlstore_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/internal/logtest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// The environment of the child: the database, the prefix of its numbers or migrateRound, and the
// DSN.
const (
	childVar     = "ORDERFSM_TEST_CHILD"
	migrateRound = "migrate"
)

// childProcess returns a process that writes, or migrates, when it is started.
func (d database) childProcess(round, dsn string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s", childVar, d.name, round, dsn))
	cmd.Stderr = os.Stderr
	return cmd
}

// TestMain runs the child if the environment asks for it. The child writes until it is killed, and
// prints what was acknowledged.
func TestMain(m *testing.M) {
	logtest.Silence()
	if spec := os.Getenv(childVar); spec != "" {
		if err := child(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func child(spec string) error {
	name, rest, _ := strings.Cut(spec, " ")
	round, dsn, _ := strings.Cut(rest, " ")
	for _, d := range databases() {
		if d.name != name {
			continue
		}
		db, err := d.open(dsn)
		if err != nil {
			return err
		}
		s, err := sqlstore.New(db, d.dialect, sqlstore.Options{})
		if err != nil {
			return err
		}
		if round == migrateRound {
			return s.Migrate(bg)
		}
		m, err := order.NewMachine(order.Options{})
		if err != nil {
			return err
		}
		svc, err := refund.NewService(m, s, refundtest.New(), refund.Options{})
		if err != nil {
			return err
		}
		return write(svc, round)
	}
	return fmt.Errorf("no database %q", name)
}

func write(svc *refund.Service, round string) error {
	for i := 0; ; i++ {
		id := fmt.Sprintf("O-%s-%d", round, i)
		if _, err := svc.Register(bg, refund.RegisterParams{
			OrderID: id, Gateway: "bank", Currency: "CNY", Total: 100,
		}); err != nil {
			return err
		}
		for n, amount := range []int64{60, 40} {
			number := fmt.Sprintf("R-%s-%d-%d", round, i, n)
			if err := ask(bg, svc, id, number, amount); err != nil {
				return err
			}
			fmt.Fprintln(os.Stdout, id, number, order.StateRefundRequested)
			if _, err := svc.ApproveAndSend(bg, refund.ApproveParams{
				Ref: refund.Ref{OrderID: id, RefundNo: number}, Amount: amount, Actor: "staff:1",
			}); err != nil {
				return err
			}
			fmt.Fprintln(os.Stdout, id, number, order.StateRefunded)
		}
	}
}

// TestKilled kills a writing process 20 times on each database. Everything that was acknowledged is
// stored, and every order is legal.
func TestKilled(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		dsn := d.fresh(t)
		s := d.on(t, d.connect(t, dsn))
		require.NoError(t, s.Migrate(bg))
		for round := range 20 {
			cmd := d.childProcess(strconv.Itoa(round), dsn)
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			acknowledged := map[[2]string]order.State{}
			lines := bufio.NewScanner(out)
			for lines.Scan() {
				words := strings.Fields(lines.Text())
				if len(words) != 3 {
					break // cut by the kill
				}
				acknowledged[[2]string{words[0], words[1]}] = order.State(words[2])
				if len(acknowledged) == 5+round {
					require.NoError(t, cmd.Process.Kill())
				}
			}
			require.Error(t, cmd.Wait(), "it ends by being killed")
			require.GreaterOrEqual(t, len(acknowledged), 5+round)
			for ref, state := range acknowledged {
				got := requireLegal(t, s, ref[0]).Refund(ref[1])
				require.NotNil(t, got, ref)
				if state == order.StateRefunded {
					require.Equal(t, state, got.State, ref)
				}
			}
			for i := range len(acknowledged) + 2 { // also the one that it was working on
				id := fmt.Sprintf("O-%d-%d", round, i)
				if _, err := s.Get(bg, id); err == nil {
					requireLegal(t, s, id)
				}
			}
		}
	})
}
