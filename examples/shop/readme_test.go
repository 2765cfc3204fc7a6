package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// blocks returns the README's sh blocks. It skips the test if bash or curl is missing.
func blocks(t *testing.T) []string {
	t.Helper()
	for _, program := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(program + " is not installed; without it nothing shows that the README's commands work")
		}
	}
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var all []string
	for _, b := range strings.Split(string(readme), "```sh\n")[1:] {
		code, _, found := strings.Cut(b, "```")
		require.True(t, found)
		all = append(all, code)
	}
	return all
}

var times = regexp.MustCompile(`"\d{4}-\d\d-\d\dT[^"]*Z"`)

// plain removes spaces and replaces times, because the README wraps its lines and its times are
// older.
func plain(text string) string {
	return times.ReplaceAllString(strings.Join(strings.Fields(text), ""), `"time"`)
}

// TestREADME runs the curl lines in order and compares their output with the lines below them.
func TestREADME(t *testing.T) {
	blocks := blocks(t)
	require.Equal(t, "go run ./examples/shop\n", blocks[0])
	p := startProcess(t, nil, "-dsn", sqliteFile(t)) // with the simulator inside
	ctx, cancel := context.WithTimeout(bg, patience)
	defer cancel()
	ran := 0
	for _, block := range blocks[1 : len(blocks)-1] {
		for _, step := range strings.Split("\n"+block, "\ncurl ")[1:] {
			command, shown, _ := strings.Cut("curl "+step, "\n")
			want := plain(regexp.MustCompile(`(?m)^# `).ReplaceAllString(shown, ""))
			got := output(t, p.url, command)
			// A read may show an older state, so it is repeated. A command runs only once.
			for got != want && ctx.Err() == nil && !strings.Contains(command, " -d ") {
				<-time.After(100 * time.Millisecond)
				got = output(t, p.url, command)
			}
			require.Equal(t, want, got, command)
			ran++
		}
	}
	require.Equal(t, strings.Count(strings.Join(blocks[:len(blocks)-1], ""), "curl "), ran)
}

func output(t *testing.T, shop, command string) string {
	t.Helper()
	cmd := exec.Command("bash", "-c", command)
	cmd.Env = append(os.Environ(), "SHOP="+shop)
	out, err := cmd.Output()
	require.NoError(t, err, command)
	return plain(string(out))
}

// TestREADMEKilled runs the block in which the shop is killed, as it stands but for the port.
func TestREADMEKilled(t *testing.T) {
	blocks := blocks(t)
	if testing.Short() {
		t.Skip("builds two programs and waits for leases; without it nothing shows that the README's last block works")
	}
	addr := unusedAddr(t)
	script := strings.ReplaceAll(blocks[len(blocks)-1], "127.0.0.1:8081", addr)
	require.NotContains(t, script, ":8081")
	ctx := context.Background()
	// The script may wait without end; show its output before the test times out.
	if deadline, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-10*time.Second))
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, "bash", "-e", "-c", "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n"+script)
	cmd.WaitDelay = time.Second
	cmd.Dir = filepath.Join("..", "..")
	// The script builds programs of two modules, so it needs the workspace also if this test runs
	// without it.
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir(), "GOWORK=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), `"out_refund_no":"ORD-7_a"`)
	require.Contains(t, string(out), `"payments":1`)
}

// unusedAddr returns an address whose port no server has. The system does not assign the port to
// others, because the ports that it assigns begin at 32768.
func unusedAddr(t *testing.T) string {
	t.Helper()
	for port := 20000 + rand.IntN(10000); ; port++ {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			require.NoError(t, ln.Close())
			return ln.Addr().String()
		}
		require.Less(t, port, 32000, "%v", err)
	}
}
