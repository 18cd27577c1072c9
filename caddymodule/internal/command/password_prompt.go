package command

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"golang.org/x/term"

	"github.com/caddy-sso/caddy-sso/internal/signin/local"
	"github.com/caddy-sso/caddy-sso/signin"
)

// askForHash asks for a password, and hashes it as Caddy does.
func askForHash(fl caddycmd.Flags) (string, error) {
	algorithm := fl.String("algorithm")
	if algorithm != "argon2id" && algorithm != "bcrypt" {
		return "", fmt.Errorf("algorithm %q is unknown; expected argon2id or bcrypt", algorithm)
	}
	typed, err := askForPassword()
	if err != nil {
		return "", err
	}
	normalized, err := local.NormalizePassword(typed)
	if err != nil {
		return "", err
	}
	password := []byte(normalized)
	if algorithm == "bcrypt" {
		hash, err := caddyauth.BcryptHash{}.Hash(password)
		return string(hash), err
	}
	// Caddy takes the costs from an existing hash. These are the defaults of its own
	// command.
	salt := make([]byte, 16)
	rand.Read(salt) //nolint:errcheck // never fails: crypto/rand aborts the program instead
	like := "$argon2id$v=19$m=47104,t=1,p=1$" + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(make([]byte, 32))
	argon, _, err := caddyauth.DecodeHash([]byte(like))
	if err != nil {
		return "", err
	}
	hash, err := argon.Hash(password)
	return string(hash), err
}

// askForPassword reads a password twice from a terminal, which does not show
// it, or else the first line of the standard input.
func askForPassword() (string, error) {
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		line, err := bufio.NewReader(io.LimitReader(os.Stdin, 4*signin.MaxPassword)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("reading the password: %w", err)
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	restore, err := rawTerminal(fd)
	if err != nil {
		return "", fmt.Errorf("asking for the password: %w", err)
	}
	defer restore()
	terminal := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{os.Stdin, os.Stderr}, "")
	var typed [2]string
	for i, prompt := range []string{"Password: ", "Once more: "} {
		typed[i], err = terminal.ReadPassword(prompt)
		if errors.Is(err, io.EOF) { // Ctrl-C or Ctrl-D
			fmt.Fprint(os.Stderr, "\r\n")
			return "", errors.New("cancelled; nothing was changed")
		}
		if err != nil {
			return "", fmt.Errorf("asking for the password: %w", err)
		}
	}
	if typed[0] != typed[1] {
		return "", errors.New("the two passwords differ; nothing was changed")
	}
	return typed[0], nil
}

// rawTerminal stops a terminal from showing the typed text, until restore, or until a
// signal ends the program.
func rawTerminal(fd int) (restore func(), err error) {
	ending := make(chan os.Signal, 1)
	signal.Notify(ending, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	state, err := term.MakeRaw(fd)
	if err != nil {
		signal.Stop(ending)
		return nil, err
	}
	go func() {
		<-ending
		term.Restore(fd, state) //nolint:errcheck // the program ends
		os.Exit(caddy.ExitCodeForceQuit)
	}()
	return func() {
		term.Restore(fd, state) //nolint:errcheck // there is nothing else to do
		signal.Stop(ending)
	}, nil
}
