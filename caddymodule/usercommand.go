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
	"syscall"
	"text/tabwriter"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/caddy-sso/caddy-sso/internal/signin/local"
	"github.com/caddy-sso/caddy-sso/signin"
)

func userCommand() *cobra.Command {
	users := &cobra.Command{Use: "user", Short: "Works on users: ends their sessions, and edits a file of them"}
	add := usersFileCommand("add <name>", "Adds a user to a file, and asks for the password", cobra.ExactArgs(1), addUser)
	add.Flags().String("email", "", "The e-mail address")
	add.Long = "Adds a user to a file, and asks for the password.\n\n" +
		"The users of the Caddyfile are not known to this command. Where one of them has the name or the e-mail address, that\n" +
		"one counts, and the log of Caddy says which line of the file is left out."
	add.Flags().StringArray("group", nil, "A group that the user is in, or several with commas between them; may be repeated")
	add.Flags().String("subject", "", "The UUID of a user who had another before")
	add.Flags().String("registered", "", "When the account was made, such as 2019-04-27")
	algorithmFlag(add)
	passwd := usersFileCommand("passwd <name>", "Asks for a new password of a user", cobra.ExactArgs(1), changePassword)
	algorithmFlag(passwd)
	commandGroup(users,
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
	r := local.UserRecord{Name: fl.Arg(0), Email: fl.String("email"), Subject: fl.String("subject"), Registered: fl.String("registered")}
	// GetStringArray takes one empty group for none.
	for _, groups := range fl.Lookup("group").Value.(interface{ GetSlice() []string }).GetSlice() {
		r.Groups = append(r.Groups, strings.Split(groups, ",")...)
	}
	path, add := fl.String("file"), func(u local.UsersText) error { return u.Add(r) }
	if err := local.CheckEdit(path, true, add); err != nil { // before anybody types a password
		return caddy.ExitCodeFailedStartup, err
	}
	var err error
	if r.Hash, err = askForHash(fl); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	return editedExit(local.EditUsers(path, true, add))
}

func changePassword(fl caddycmd.Flags) (int, error) {
	there := func(u local.UsersText) error { return u.Change(fl.Arg(0), func(*local.UserRecord) {}) }
	if err := local.CheckEdit(fl.String("file"), false, there); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	hash, err := askForHash(fl)
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	return changeUser(fl, func(r *local.UserRecord) { r.Hash = hash }, newHash)
}

// What becomes of the sessions of somebody, who is named first.
const (
	newHash  = "%s has a new password. Where Caddy uses the file, sessions and tokens from before are over within seconds."
	disabled = "%s is disabled. Where Caddy uses the file, all sessions and tokens are over within seconds, and do not come back."
	enabled  = "%s can sign in again within seconds."
)

// changeUser changes a user of the file, and says what comes of it.
func changeUser(fl caddycmd.Flags, change func(*local.UserRecord), says string) (int, error) {
	var name string
	err := local.EditUsers(fl.String("file"), false, func(u local.UsersText) error {
		return u.Change(fl.Arg(0), func(r *local.UserRecord) {
			name = r.Name
			change(r)
		})
	})
	if err == nil {
		fmt.Printf(says+"\n", name)
	}
	return editedExit(err)
}

func disableUser(fl caddycmd.Flags) (int, error) {
	return changeUser(fl, func(r *local.UserRecord) { r.Disabled = true }, disabled)
}

func enableUser(fl caddycmd.Flags) (int, error) {
	return changeUser(fl, func(r *local.UserRecord) { r.Disabled = false }, enabled)
}

func editedExit(err error) (int, error) {
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	return caddy.ExitCodeSuccess, nil
}

func listUsers(fl caddycmd.Flags) (int, error) {
	u, err := local.ReadUsers(fl.String("file"))
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
	return editedExit(errors.Join(problems...))
}

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
		return "", errors.New("the two are not the same; nothing was changed")
	}
	return typed[0], nil
}

// rawTerminal has a terminal show nothing until restore, or until a signal ends the
// program.
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
