//go:build unix

package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
)

// server is a database server that only one test uses and may stop. It listens on a socket in a
// private directory.
type server struct {
	database
	dsn     string
	program string
	args    []string
	owner   *syscall.SysProcAttr
	log     string
	signals []syscall.Signal // each ends it at once, one way or another
	cmd     *exec.Cmd
	exited  chan struct{} // closed when cmd has ended
}

func (s *server) run(t *testing.T) {
	t.Helper()
	out, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	defer out.Close() // the server has it open too
	cmd, exited := exec.Command(s.program, s.args...), make(chan struct{})
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = out, out, s.owner
	require.NoError(t, cmd.Start())
	go func() { defer close(exited); _ = cmd.Wait() }()
	s.cmd, s.exited = cmd, exited
}

// start returns when the server answers. An attempt to connect has no limit, because a busy machine
// may need longer. A killed PostgreSQL leaves processes for a moment that keep the next one from
// starting; start then tries again.
func (s *server) start(t *testing.T) {
	t.Helper()
	db, err := s.open(s.dsn)
	require.NoError(t, err)
	defer db.Close()
	s.run(t)
	ctx, cancel := context.WithTimeout(bg, patience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			text, _ := os.ReadFile(s.log)
			require.NoError(t, err, "%s does not start:\n%s", s.program, text)
		}
		select {
		case <-s.exited:
			s.run(t)
		default:
		}
	}
}

func (s *server) stop(t *testing.T, sig syscall.Signal) {
	t.Helper()
	require.NoError(t, s.cmd.Process.Signal(sig))
	<-s.exited
}

// privateServers are the servers that this machine can run.
func privateServers() map[string]func(t *testing.T) *server {
	return map[string]func(t *testing.T) *server{"PostgreSQL": privatePostgres, "MariaDB": privateMariaDB}
}

// privateDir returns a short path, because the path of a socket has at most 107 bytes. The
// directory belongs to the user of the server.
func privateDir(t *testing.T, owner *syscall.SysProcAttr) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "orderfsm") //nolint:usetesting // t.TempDir is too long
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	if owner != nil {
		require.NoError(t, os.Chown(dir, int(owner.Credential.Uid), int(owner.Credential.Gid)))
	}
	return dir
}

func privatePostgres(t *testing.T) *server {
	t.Helper()
	owner := notRoot(t)
	initdb := installed(t, "initdb", "/usr/lib/postgresql/*/bin/initdb")
	postgres := installed(t, "postgres", "/usr/lib/postgresql/*/bin/postgres")
	dir := privateDir(t, owner)
	data := filepath.Join(dir, "data")
	create(t, owner, initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
		"--locale=C", "--no-sync")
	s := &server{
		database: database{name: "PostgreSQL", dialect: sqlstore.PostgreSQL, open: openPostgres},
		dsn:      "host=" + dir + " user=postgres database=postgres",
		program:  postgres, args: []string{"-D", data, "-k", dir, "-c", "listen_addresses="},
		owner: owner, log: filepath.Join(dir, "log"),
		signals: []syscall.Signal{
			syscall.SIGKILL, syscall.SIGQUIT, syscall.SIGINT,
		}, // the latter are "immediate" and "fast"
	}
	s.begin(t, "")
	return s
}

func privateMariaDB(t *testing.T) *server {
	t.Helper()
	install := installed(t, "mariadb-install-db", "/usr/bin/mariadb-install-db")
	mariadbd := installed(t, "mariadbd", "/usr/sbin/mariadbd")
	dir := privateDir(t, nil)
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "socket")
	who, err := user.Current()
	require.NoError(t, err)
	// At its start a server deletes old temporary tables from its directory of temporary files,
	// also those of another server with the same directory.
	common := []string{
		"--no-defaults", "--user=" + who.Username, "--datadir=" + data, "--tmpdir=" + dir,
	}
	create(t, nil, install,
		append(common, "--auth-root-authentication-method=normal", "--skip-test-db")...)
	s := &server{
		database: database{name: "MariaDB", dialect: sqlstore.MySQL, open: openQuietly},
		dsn:      "root@unix(" + socket + ")/orderfsm?interpolateParams=true",
		program:  mariadbd, args: append(common, "--socket="+socket, "--skip-networking",
			"--pid-file="+filepath.Join(dir, "pid")),
		log:     filepath.Join(dir, "log"),
		signals: []syscall.Signal{syscall.SIGKILL, syscall.SIGKILL, syscall.SIGTERM},
	}
	// The database is created once, through a database that always exists.
	dsn := s.dsn
	s.dsn = "root@unix(" + socket + ")/mysql"
	s.begin(t, "CREATE DATABASE orderfsm")
	s.dsn = dsn
	return s
}

// openQuietly does not log connections that break.
func openQuietly(dsn string) (*sql.DB, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	cfg.Logger = &mysql.NopLogger{}
	c, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(c), nil
}

// begin starts the server until the test ends, and executes a statement.
func (s *server) begin(t *testing.T, statement string) {
	t.Helper()
	s.start(t)
	t.Cleanup(func() { _ = s.cmd.Process.Kill(); <-s.exited })
	if statement == "" {
		return
	}
	db, err := s.open(s.dsn)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(bg, statement)
	require.NoError(t, err)
}

func create(t *testing.T, owner *syscall.SysProcAttr, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.SysProcAttr, cmd.Dir = owner, os.TempDir()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func installed(t *testing.T, name, pattern string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	paths, err := filepath.Glob(pattern)
	require.NoError(t, err)
	if len(paths) == 0 {
		t.Skipf("no %s here: that a database may restart while it is written to is then unproven",
			name)
	}
	return paths[len(paths)-1]
}

// notRoot returns the user of PostgreSQL if the test runs as root, because PostgreSQL does not.
func notRoot(t *testing.T) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		t.Skipf("PostgreSQL does not run as root and there is no user postgres. "+
			"Its restart is not tested: %v", err)
	}
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	require.NoError(t, err)
	gid, err := strconv.ParseUint(who.Gid, 10, 32)
	require.NoError(t, err, fmt.Sprint(who))
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}
