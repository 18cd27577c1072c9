package command

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-sso/caddy-sso/internal/signin/local"
)

func userCommand() *cobra.Command {
	users := &cobra.Command{Use: "user", Short: "Ends sessions of users, and edits a file of users"}
	add := fileCommand("users", "add <name>", "Adds a user to a file, and asks for the password", cobra.ExactArgs(1), addUser)
	add.Flags().String("email", "", "The e-mail address")
	add.Long = "Adds a user to a file, and asks for the password.\n\n" +
		"This command does not know the users of the Caddyfile. If one of them has the same name or e-mail address, Caddy uses\n" +
		"that one, and its log names the line of the file that is left out."
	add.Flags().StringArray("group", nil, "A group of the user, or several with commas between them; may be repeated")
	add.Flags().String("subject", "", "The UUID of the user, if it is not derived from the name")
	add.Flags().String("registered", "", "When the account was created, such as 2019-04-27")
	algorithmFlag(add)
	passwd := fileCommand("users", "passwd <name>", "Asks for a new password of a user", cobra.ExactArgs(1), changePassword)
	algorithmFlag(passwd)
	commandGroup(users,
		subcommand("end <name>", "Ends all sessions of a user", cobra.ExactArgs(1), endUser),
		add, passwd,
		fileCommand("users", "disable <name>", "Signs a user out and refuses sign-ins; the line stays", cobra.ExactArgs(1), disableUser),
		fileCommand("users", "enable <name>", "Lets a user sign in again", cobra.ExactArgs(1), enableUser),
		fileCommand("users", "list", "Lists the users of a file", cobra.NoArgs, listUsers),
	)
	return users
}

func algorithmFlag(cmd *cobra.Command) {
	cmd.Flags().String("algorithm", "argon2id", "How the password is hashed: argon2id or bcrypt")
}

func addUser(fl caddycmd.Flags) (int, error) {
	r := local.UserRecord{Name: fl.Arg(0), Email: fl.String("email"), Subject: fl.String("subject"), Registered: fl.String("registered")}
	for _, groups := range repeatedFlag(fl, "group") {
		r.Groups = append(r.Groups, strings.Split(groups, ",")...)
	}
	path, add := fl.String("file"), func(u local.UsersText) error { return u.Add(r) }
	if err := local.CheckEdit(path, true, add); err != nil { // before the password is typed
		return caddy.ExitCodeFailedStartup, err
	}
	var err error
	if r.Hash, err = askForHash(fl); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	return exitAfter(local.EditUsers(path, true, add))
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
	return changeUser(fl, func(r *local.UserRecord) { r.Hash = hash }, userHashChanged)
}

// The effects of a change on the sessions of a user. The name comes first.
const (
	userHashChanged = "%s has a new password. If Caddy uses the file, older sessions and tokens end within seconds."
	userDisabled    = "%s is disabled. If Caddy uses the file, all sessions and tokens end within seconds, and do not come back."
	userEnabled     = "%s can sign in again within seconds."
)

// changeUser changes a user of the file, and prints the effect.
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
	return exitAfter(err)
}

func disableUser(fl caddycmd.Flags) (int, error) {
	return changeUser(fl, func(r *local.UserRecord) { r.Disabled = true }, userDisabled)
}

func enableUser(fl caddycmd.Flags) (int, error) {
	return changeUser(fl, func(r *local.UserRecord) { r.Disabled = false }, userEnabled)
}

func listUsers(fl caddycmd.Flags) (int, error) {
	u, err := local.ReadUsers(fl.String("file"))
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	records, problems := u.Records()
	err = printTable("users", "NAME\tE-MAIL\tGROUPS\tMAY SIGN IN", func(table io.Writer) {
		for _, r := range records {
			fmt.Fprintf(table, "%q\t%s\t%q\t%s\n", r.Name, r.Email, r.Groups, yesUnless(r.Disabled))
		}
	})
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	return exitAfter(errors.Join(problems...))
}
