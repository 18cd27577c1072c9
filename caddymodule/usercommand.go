package caddymodule

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
	"text/tabwriter"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/caddy-sso/caddy-sso/signin"
)

func userCommand() *cobra.Command {
	users := &cobra.Command{Use: "user", Short: "Works on users: ends their sessions, and edits a file of them"}
	add := usersFileCommand("add <name>", "Adds a user to a file, and asks for the password", cobra.ExactArgs(1), addUser)
	add.Flags().String("email", "", "The e-mail address")
	add.Flags().StringSlice("group", nil, "A group that the user is in; may be repeated")
	add.Flags().String("subject", "", "The UUID of a user who had another before")
	algorithmFlag(add)
	passwd := usersFileCommand("passwd <name>", "Asks for a new password of a user", cobra.ExactArgs(1), changePassword)
	algorithmFlag(passwd)
	users.AddCommand(
		subcommand("end <name>", "Ends all sessions of a user", cobra.ExactArgs(1), endUser),
		add, passwd,
		usersFileCommand("disable <name>", "Signs a user out, and keeps the name", cobra.ExactArgs(1), disableUser),
		usersFileCommand("enable <name>", "Lets a user sign in again", cobra.ExactArgs(1), enableUser),
		usersFileCommand("list", "Lists the users of a file", cobra.NoArgs, listUsers),
	)
	return users
}

// usersFileCommand is a command that asks no server: a running one sees for
// itself what has changed.
func usersFileCommand(use, short string, args cobra.PositionalArgs, run func(caddycmd.Flags) (int, error)) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: args, RunE: caddycmd.WrapCommandFuncForCobra(run)}
	cmd.Flags().StringP("file", "f", "", "The file of users, as after users in the Caddyfile")
	cmd.MarkFlagRequired("file") //nolint:errcheck // the flag is there
	return cmd
}

func algorithmFlag(cmd *cobra.Command) {
	cmd.Flags().String("algorithm", "argon2id", "How the password is hashed: argon2id or bcrypt")
}

func addUser(fl caddycmd.Flags) (int, error) {
	groups, err := fl.GetStringSlice("group")
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	r := signin.UserRecord{Name: fl.Arg(0), Email: fl.String("email"), Groups: groups, Subject: fl.String("subject")}
	if r.Hash, err = askForHash(fl); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	return edited(signin.EditUsers(fl.String("file"), true, func(u *signin.UsersText) error { return u.Add(r) }))
}

func changePassword(fl caddycmd.Flags) (int, error) {
	hash, err := askForHash(fl)
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	return changed(fl, func(r *signin.UserRecord) { r.Hash = hash }, passwordChanged)
}

// What becomes of the sessions of somebody, who is named first.
const (
	passwordChanged = "%s has a new password. Where Caddy uses the file, sessions and tokens from before are over within seconds."
	disabled        = "%s is disabled. Where Caddy uses the file, all sessions and tokens are over within seconds, and do not come back."
	enabled         = "%s can sign in again within seconds."
)

// changed changes a user of the file, and says what comes of it.
func changed(fl caddycmd.Flags, change func(*signin.UserRecord), says string) (int, error) {
	var name string
	err := signin.EditUsers(fl.String("file"), false, func(u *signin.UsersText) error {
		return u.Change(fl.Arg(0), func(r *signin.UserRecord) {
			name = r.Name
			change(r)
		})
	})
	if err == nil {
		fmt.Printf(says+"\n", name)
	}
	return edited(err)
}

func disableUser(fl caddycmd.Flags) (int, error) {
	return changed(fl, func(r *signin.UserRecord) { r.Disabled = true }, disabled)
}

func enableUser(fl caddycmd.Flags) (int, error) {
	return changed(fl, func(r *signin.UserRecord) { r.Disabled = false }, enabled)
}

func edited(err error) (int, error) {
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	return caddy.ExitCodeSuccess, nil
}

func listUsers(fl caddycmd.Flags) (int, error) {
	u, err := signin.ReadUsers(fl.String("file"))
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	records, problems := u.Records()
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tE-MAIL\tGROUPS\tMAY SIGN IN")
	for _, r := range records {
		may := "yes"
		if r.Disabled {
			may = "no"
		}
		fmt.Fprintf(table, "%q\t%s\t%q\t%s\n", r.Name, r.Email, r.Groups, may)
	}
	if err := table.Flush(); err != nil {
		return caddy.ExitCodeFailedStartup, fmt.Errorf("printing users: %w", err)
	}
	return edited(errors.Join(problems...))
}

// askForHash asks for a password, and hashes it as Caddy does.
func askForHash(fl caddycmd.Flags) (string, error) {
	algorithm := fl.String("algorithm")
	if algorithm != "argon2id" && algorithm != "bcrypt" {
		return "", fmt.Errorf("algorithm %q is unknown; expected argon2id or bcrypt", algorithm)
	}
	password, err := askForPassword()
	if err != nil {
		return "", err
	}
	if len(password) == 0 || len(password) > signin.MaxPassword {
		return "", fmt.Errorf("expected a password of 1 to %d bytes", signin.MaxPassword)
	}
	if algorithm == "bcrypt" {
		hash, err := caddyauth.BcryptHash{}.Hash(password)
		return string(hash), err
	}
	// Caddy takes the costs, which are the defaults of its own command, from a
	// hash that is there.
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
func askForPassword() ([]byte, error) {
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		line, err := bufio.NewReader(io.LimitReader(os.Stdin, 2*signin.MaxPassword)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading the password: %w", err)
		}
		return []byte(strings.TrimRight(line, "\r\n")), nil
	}
	state, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("asking for the password: %w", err)
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	defer signal.Stop(interrupted)
	go func() {
		<-interrupted
		term.Restore(fd, state) //nolint:errcheck // the program ends
		os.Exit(caddy.ExitCodeForceQuit)
	}()
	var typed [2][]byte
	for i, prompt := range []string{"Password: ", "Once more: "} {
		fmt.Fprint(os.Stderr, prompt)
		typed[i], err = term.ReadPassword(fd)
		fmt.Fprintln(os.Stderr)
		if err != nil {
			return nil, fmt.Errorf("asking for the password: %w", err)
		}
	}
	if string(typed[0]) != string(typed[1]) {
		return nil, errors.New("the two are not the same; nothing was changed")
	}
	return typed[0], nil
}
