package command

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/customers"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/signinmethods"
	"github.com/caddy-sso/caddy-sso/internal/jsonlines"
)

// ClientSecretVariable keeps a client secret out of the arguments, which other users
// of the machine can see.
const ClientSecretVariable = "SSO_CLIENT_SECRET" //nolint:gosec // a name

type customerLines = jsonlines.Text[customers.Record]

func customerCommand() *cobra.Command {
	customer := &cobra.Command{Use: "customer", Short: "Edits a file of customers"}
	add := fileCommand("customers", "add <code>", "Adds a customer to a file", cobra.ExactArgs(1), addCustomer)
	add.Long = `Adds a customer to a file. The file is created if it does not exist:

  caddy sso license customer add acme --file customers.jsonl --product demo \
      --issuer https://login.acme.example --client-id … --client-secret '{env.ACME_SECRET}'

At the provider, register the redirect URI <portal's issuer>/sso/callback/<ID of the
provider>. Keep the secret outside the file, as {env.…} or {file.…}, which the server
replaces. To write a secret into the file, put it into the environment variable
` + ClientSecretVariable + `, where other users of the machine cannot see it.

This command does not know the Caddyfile. If it has the same code or ID, Caddy uses that
one, and its log names the line of the file that is left out. For other settings of a
provider, edit the line: its members are those of the JSON configuration.`
	flags := add.Flags()
	flags.StringArray("product", nil, "The code of a product that the customer has; may be repeated")
	flags.StringArray("signin", nil, "The ID of a sign-in method in the Caddyfile, such as local; may be repeated")
	flags.StringArray("email-domain", nil, "A domain of the e-mail addresses that may sign in; may be repeated")
	flags.String("id", "", "The ID of the customer's provider, if it is not the code")
	flags.String("issuer", "", "The issuer of the customer's OpenID Connect provider")
	flags.String("client-id", "", "The ID that the provider gave the portal")
	flags.String("client-secret", "", "The client secret, if it is not in "+ClientSecretVariable)
	flags.String("name", "", "The name of the provider on the button, if it is not its ID")
	flags.StringArray("scope", nil, "A scope of the requests to the provider, if they are not profile and email; may be repeated")
	flags.StringArray("claim", nil, "Ours=theirs: the provider's name for a claim, such as groups=roles; may be repeated")
	commandGroup(customer, add,
		fileCommand("customers", "disable <code>", "Signs a customer's users out and refuses sign-ins; the line stays", cobra.ExactArgs(1), disableCustomer),
		fileCommand("customers", "enable <code>", "Lets a customer's users sign in again", cobra.ExactArgs(1), enableCustomer),
		fileCommand("customers", "remove <code>", "Removes a customer's line", cobra.ExactArgs(1), removeCustomer),
		fileCommand("customers", "list", "Lists the customers of a file", cobra.NoArgs, listCustomers),
	)
	return customer
}

func addCustomer(fl caddycmd.Flags) (int, error) {
	r := customers.Record{Code: fl.Arg(0), Products: repeatedFlag(fl, "product"), Signin: repeatedFlag(fl, "signin"), EmailDomains: repeatedFlag(fl, "email-domain")}
	provider, err := customerProviderOf(fl, r.Code)
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	if provider != nil {
		r.Providers = []json.RawMessage{provider}
	}
	err = customers.Format.Edit(fl.String("file"), true, func(t *customerLines) error {
		if i := findCustomer(t, r.Code); i >= 0 {
			return fmt.Errorf("the file has a customer %q already; codes are compared without case", r.Code)
		}
		return t.Append(r)
	})
	if err == nil {
		fmt.Printf("%s is in the file. If Caddy uses the file, its users can sign in within seconds.\n", r.Code)
		if provider != nil {
			fmt.Printf("At its provider, register the redirect URI <issuer of the portal>/sso/callback/%s\n", cmp.Or(fl.String("id"), r.Code))
		}
	}
	return exitAfter(err)
}

// customerProviderOf returns the provider in the flags, nil if there is none.
func customerProviderOf(fl caddycmd.Flags, code string) (json.RawMessage, error) {
	p := signinmethods.OIDC{
		ID: fl.String("id"), Issuer: fl.String("issuer"), ClientID: fl.String("client-id"), ClientSecret: fl.String("client-secret"),
		Name: fl.String("name"), Scopes: repeatedFlag(fl, "scope"),
	}
	for _, claim := range repeatedFlag(fl, "claim") {
		ours, theirs, ok := strings.Cut(claim, "=")
		if !ok {
			return nil, fmt.Errorf("--claim %q: expected ours=theirs, such as groups=roles", claim)
		}
		if p.Claims == nil {
			p.Claims = map[string]string{}
		}
		p.Claims[ours] = theirs
	}
	if p.Issuer == "" && p.ClientID == "" {
		if p.ID+p.ClientSecret+p.Name != "" || len(p.Scopes)+len(p.Claims) > 0 {
			return nil, errors.New("give --issuer and --client-id, too, for the provider of the other flags")
		}
		return nil, nil
	}
	p.ID = cmp.Or(p.ID, code)
	p.ClientSecret = cmp.Or(p.ClientSecret, os.Getenv(ClientSecretVariable))
	return json.Marshal(p) //nolint:gosec // for the file, where the secret belongs
}

// findCustomer is the line of a code, compared as for a file that is used.
func findCustomer(t *customerLines, code string) int {
	return t.Find(func(r customers.Record) bool { return strings.EqualFold(r.Code, code) })
}

// The effects of a change on the users of a customer. The code comes first.
const (
	customerDisabled = "%s is disabled. If Caddy uses the file, sign-ins for it are refused within seconds. Codes, tokens and sessions\nof its own providers end, and do not come back."
	customerEnabled  = "The users of %s can sign in again within seconds."
	customerRemoved  = "%s is not in the file any more. If Caddy uses the file, sign-ins for it are refused within seconds. Its codes,\ntokens and sessions are refused, too."
)

// changeCustomer changes the line of a customer, and prints the effect.
func changeCustomer(fl caddycmd.Flags, says string, change func(t *customerLines, line int) error) (int, error) {
	code := fl.Arg(0)
	err := customers.Format.Edit(fl.String("file"), false, func(t *customerLines) error {
		i := findCustomer(t, code)
		if i < 0 {
			return fmt.Errorf("the file has no customer %q; see: caddy sso license customer list", code)
		}
		return change(t, i)
	})
	if err == nil {
		fmt.Printf(says+"\n", code)
	}
	return exitAfter(err)
}

func disableCustomer(fl caddycmd.Flags) (int, error) {
	return changeCustomer(fl, customerDisabled, func(t *customerLines, line int) error {
		return t.ChangeAt(line, func(r *customers.Record) { r.Disabled = true })
	})
}

func enableCustomer(fl caddycmd.Flags) (int, error) {
	return changeCustomer(fl, customerEnabled, func(t *customerLines, line int) error {
		return t.ChangeAt(line, func(r *customers.Record) { r.Disabled = false })
	})
}

func removeCustomer(fl caddycmd.Flags) (int, error) {
	return changeCustomer(fl, customerRemoved, func(t *customerLines, line int) error {
		t.Remove(line)
		return nil
	})
}

func listCustomers(fl caddycmd.Flags) (int, error) {
	t, err := customers.Format.Read(fl.String("file"))
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	records, problems := t.Records()
	err = printTable("customers", "CODE\tPRODUCTS\tSIGN-IN\tE-MAIL DOMAINS\tMAY SIGN IN", func(table io.Writer) {
		for _, r := range records {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", r.Code, strings.Join(r.Products, " "), strings.Join(r.Account().Methods, " "), strings.Join(r.EmailDomains, " "), yesUnless(r.Disabled))
		}
	})
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	return exitAfter(errors.Join(problems...))
}
