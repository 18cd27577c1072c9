package command

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/customers"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/signinmethods"
	"github.com/caddy-sso/caddy-sso/internal/jsonlines"
)

// customerSecretVariable keeps a client secret out of the arguments, which other users
// of the machine can see.
const ClientSecretVariable = "SSO_CLIENT_SECRET" //nolint:gosec // a name

type customerLines = jsonlines.Text[customers.Record]

func customerCommand() *cobra.Command {
	customer := &cobra.Command{Use: "customer", Short: "Edits a file of customers"}
	add := customersFileCommand("add <code>", "Adds a customer to a file", cobra.ExactArgs(1), addCustomer)
	add.Long = `Adds a customer to a file, which is made if it is not there:

  caddy sso license customer add acme --file customers.jsonl --product demo \
      --issuer https://login.acme.example --client-id … --client-secret '{env.ACME_SECRET}'

At the provider, register the redirect URI <portal's issuer>/sso/callback/<ID of the
provider>. A secret is better kept outside the file, as {env.…} or {file.…}, which
are those of the server; one that is written into it may be in the environment variable
` + ClientSecretVariable + `, where other users of the machine do not see it.

The Caddyfile is not known to this command. Where it has the same code or ID, that one
counts, and the log of Caddy says which line of the file is left out. For whatever else
a provider needs, edit the line: its members are those of the JSON configuration.`
	flags := add.Flags()
	flags.StringArray("product", nil, "The code of a product that the customer has; may be repeated")
	flags.StringArray("signin", nil, "The ID of a sign-in method in the Caddyfile, such as local; may be repeated")
	flags.StringArray("email-domain", nil, "A domain of the e-mail addresses that may; may be repeated")
	flags.String("id", "", "The ID of the customer's provider, if it is not the code")
	flags.String("issuer", "", "The issuer of the customer's OpenID Connect provider")
	flags.String("client-id", "", "The ID that the provider gave the portal")
	flags.String("client-secret", "", "The secret that goes with it, if it is not in "+ClientSecretVariable)
	flags.String("name", "", "What the button calls the provider, if it is not its ID")
	flags.StringArray("scope", nil, "What the provider is asked for, if it is not profile and email; may be repeated")
	flags.StringArray("claim", nil, "Ours=theirs: the provider's name for a claim, such as groups=roles; may be repeated")
	commandGroup(customer, add,
		customersFileCommand("disable <code>", "Lets nobody sign in for a customer, and keeps the line", cobra.ExactArgs(1), disableCustomer),
		customersFileCommand("enable <code>", "Lets a customer's users sign in again", cobra.ExactArgs(1), enableCustomer),
		customersFileCommand("remove <code>", "Removes a customer's line", cobra.ExactArgs(1), removeCustomer),
		customersFileCommand("list", "Lists the customers of a file", cobra.NoArgs, listCustomers),
	)
	return customer
}

// customersFileCommand is a command that asks no server: a running one sees for
// itself what has changed.
func customersFileCommand(use, short string, args cobra.PositionalArgs, run func(caddycmd.Flags) (int, error)) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: args, RunE: caddycmd.WrapCommandFuncForCobra(run)}
	cmd.Flags().StringP("file", "f", "", "The file of customers, as after customers in the Caddyfile")
	cmd.MarkFlagRequired("file") //nolint:errcheck // the flag is there
	return cmd
}

// listArg is a flag that may be repeated. GetStringArray takes one empty value for none.
func repeatedFlag(fl caddycmd.Flags, name string) []string {
	return fl.Lookup(name).Value.(interface{ GetSlice() []string }).GetSlice()
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
			return fmt.Errorf("there is a customer %q in the file; codes are compared without case", r.Code)
		}
		return t.Append(r)
	})
	if err == nil {
		fmt.Printf("%s is in the file. Where Caddy uses it, its users can sign in within seconds.\n", r.Code)
		if provider != nil {
			fmt.Printf("At its provider, register the redirect URI <issuer of the portal>/sso/callback/%s\n", cmp.Or(fl.String("id"), r.Code))
		}
	}
	return exitAfter(err)
}

// customerProviderOf is the provider that the flags describe, nil where they do not.
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
			return nil, errors.New("expected --issuer and --client-id of the provider that the other flags are about")
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

// What becomes of the users of a customer, who is named first.
const (
	customerDisabled = "%s is disabled. Where Caddy uses the file, nobody signs in for it within seconds, and codes, tokens and\nsessions that began at its own providers are over and do not come back."
	customerEnabled  = "The users of %s can sign in again within seconds."
	customerRemoved  = "%s is not in the file any more. Where Caddy uses it, nobody signs in for it within seconds, and its codes, tokens and\nsessions do not count."
)

// changedCustomer changes the line of a customer, and says what comes of it.
func changeCustomer(fl caddycmd.Flags, says string, change func(t *customerLines, line int) error) (int, error) {
	code := fl.Arg(0)
	err := customers.Format.Edit(fl.String("file"), false, func(t *customerLines) error {
		i := findCustomer(t, code)
		if i < 0 {
			return fmt.Errorf("there is no customer %q in the file; see: caddy sso license customer list", code)
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
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CODE\tPRODUCTS\tSIGN-IN\tE-MAIL DOMAINS\tMAY SIGN IN")
	for _, r := range records {
		may := "yes"
		if r.Disabled {
			may = "no"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", r.Code, strings.Join(r.Products, " "), strings.Join(r.Account().Methods, " "), strings.Join(r.EmailDomains, " "), may)
	}
	if err := table.Flush(); err != nil {
		return caddy.ExitCodeFailedStartup, fmt.Errorf("printing customers: %w", err)
	}
	return exitAfter(errors.Join(problems...))
}
