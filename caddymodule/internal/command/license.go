package command

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/adminapi"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/secrets"
	"github.com/caddy-sso/caddy-sso/internal/licenseapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// SharedKeyVariable keeps the shared key out of the arguments, which other
// users of the machine can see.
const SharedKeyVariable = "SSO_SHARED_KEY"

func licenseCommand() *cobra.Command {
	license := &cobra.Command{Use: "license", Short: "Tests the License API, and edits its customers"}
	link := subcommand("url", "Prints a URL where a license user signs in", cobra.NoArgs, printLicenseURL)
	link.Flags().String("product", "", "The code of the product")
	link.Flags().String("customer-account", "", "The code of the customer account")
	link.Flags().String("response-type", "", "code or token, if it is not the default")
	link.Flags().String("redirect-uri", "", "One of the product's redirect URIs, if it is not the first")
	sign := &cobra.Command{
		Use: "sign", Short: "Prints the headers that sign a request", Args: cobra.NoArgs,
		Long: `Prints the headers Date and Authorization, such as for:

  caddy sso license sign --api-key … | curl -H @- '<portal>/api/v4/sso_url?…'

The shared key may be in the environment variable ` + SharedKeyVariable + `, where
other users of the machine cannot see it. No server is asked.`,
		RunE: caddycmd.WrapCommandFuncForCobra(printSignature),
	}
	sign.Flags().String("api-key", "", "The API key")
	sign.Flags().String("shared-key", "", "The shared key, if it is not in "+SharedKeyVariable)
	sign.Flags().String("date", "", "The value of the Date header, if it is not now")
	commandGroup(license, link, sign, customerCommand())
	return license
}

func printLicenseURL(fl caddycmd.Flags) (int, error) {
	query := url.Values{}
	for flag, name := range map[string]string{
		"product": "product", "customer-account": "customer_account", "response-type": "response_type", "redirect-uri": "redirect_uri",
	} {
		if v := fl.String(flag); v != "" {
			query.Set(name, v)
		}
	}
	var link adminapi.LicenseLink
	err := callAdmin(fl, http.MethodGet, "/sso/license/url?"+query.Encode(), func(answer *json.Decoder) error { return answer.Decode(&link) })
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	fmt.Println(link.URL)
	return caddy.ExitCodeSuccess, nil
}

func printSignature(fl caddycmd.Flags) (int, error) {
	key, shared, date := fl.String("api-key"), fl.String("shared-key"), fl.String("date")
	shared = cmp.Or(shared, os.Getenv(SharedKeyVariable))
	date = cmp.Or(date, time.Now().UTC().Format(http.TimeFormat))
	if key == "" || shared == "" {
		return caddy.ExitCodeFailedStartup, errors.New("give --api-key, and --shared-key or the environment variable " + SharedKeyVariable)
	}
	if !oauth.CleanText(key) || !oauth.CleanText(date) {
		return caddy.ExitCodeFailedStartup, errors.New("--api-key or --date has characters that a header cannot have")
	}
	shared = secrets.TrimLineEnd(shared)
	if err := secrets.CheckSurroundings("the shared key", shared); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	fmt.Printf("Date: %s\nAuthorization: %s\n", date, licenseapi.Authorization(key, licenseapi.NewSharedKey(shared), date))
	return caddy.ExitCodeSuccess, nil
}
