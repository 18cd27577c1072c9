package command

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

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
	r := signin.UserRecord{Name: fl.Arg(0), Email: fl.String("email"), Subject: fl.String("subject"), Registered: fl.String("registered")}
	// GetStringArray takes one empty group for none.
	for _, groups := range fl.Lookup("group").Value.(interface{ GetSlice() []string }).GetSlice() {
		r.Groups = append(r.Groups, strings.Split(groups, ",")...)
	}
	path, add := fl.String("file"), func(u signin.UsersText) error { return u.Add(r) }
	if err := signin.CheckEdit(path, true, add); err != nil { // before anybody types a password
		return caddy.ExitCodeFailedStartup, err
	}
	var err error
	if r.Hash, err = askForHash(fl); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	return exitAfter(signin.EditUsers(path, true, add))
}

func changePassword(fl caddycmd.Flags) (int, error) {
	there := func(u signin.UsersText) error { return u.Change(fl.Arg(0), func(*signin.UserRecord) {}) }
	if err := signin.CheckEdit(fl.String("file"), false, there); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	hash, err := askForHash(fl)
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	return changeUser(fl, func(r *signin.UserRecord) { r.Hash = hash }, passwordChanged)
}

// What becomes of the sessions of somebody, who is named first.
const (
	passwordChanged = "%s has a new password. Where Caddy uses the file, sessions and tokens from before are over within seconds."
	userDisabled    = "%s is disabled. Where Caddy uses the file, all sessions and tokens are over within seconds, and do not come back."
	userEnabled     = "%s can sign in again within seconds."
)

// changeUser changes a user of the file, and says what comes of it.
func changeUser(fl caddycmd.Flags, change func(*signin.UserRecord), says string) (int, error) {
	var name string
	err := signin.EditUsers(fl.String("file"), false, func(u signin.UsersText) error {
		return u.Change(fl.Arg(0), func(r *signin.UserRecord) {
			name = r.Name
			change(r)
		})
	})
	if err == nil {
		fmt.Printf(says+"\n", name)
	}
	return exitAfter(err)
}

func disableUser(fl caddycmd.Flags) (int, error) {
	return changeUser(fl, func(r *signin.UserRecord) { r.Disabled = true }, userDisabled)
}

func enableUser(fl caddycmd.Flags) (int, error) {
	return changeUser(fl, func(r *signin.UserRecord) { r.Disabled = false }, userEnabled)
}

func exitAfter(err error) (int, error) {
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
	return exitAfter(errors.Join(problems...))
}
