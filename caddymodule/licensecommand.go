package caddymodule

import (
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

	"github.com/caddy-sso/caddy-sso/internal/licenseapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// licenseLink is the answer of GET /sso/license/url.
type licenseLink struct {
	URL string `json:"url"`
}

// licenseURL answers GET /sso/license/url: a link for a license user.
func (adminAPI) licenseURL(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	return withRuntime(w, r, http.MethodGet, func(c *appRuntime) error {
		if c.license == nil {
			return adminError(http.StatusNotFound, errors.New("the active configuration has no license"))
		}
		link, refusal := c.license.Link(r.Context(), oauth.LicenseLinkRequest{
			Product: q.Get("product"), Account: q.Get("customer_account"),
			ResponseType: q.Get("response_type"), RedirectURI: q.Get("redirect_uri"),
		})
		switch {
		case refusal == nil:
			return writeAnswer(w, licenseLink{link})
		case refusal.Kind == oauth.Internal:
			return adminError(http.StatusServiceUnavailable, refusal)
		}
		return adminError(http.StatusBadRequest, refusal)
	})
}

// sharedKeyVariable keeps the shared key out of the arguments, which other
// users of the machine can see.
const sharedKeyVariable = "SSO_SHARED_KEY"

func licenseCommand() *cobra.Command {
	license := &cobra.Command{Use: "license", Short: "Tries the License API, and edits its customers"}
	link := subcommand("url", "Prints a URL where a license user signs in", cobra.NoArgs, printLicenseURL)
	link.Flags().String("product", "", "The code of the product")
	link.Flags().String("customer-account", "", "The code of the customer account")
	link.Flags().String("response-type", "", "code or token, if it is not the default")
	link.Flags().String("redirect-uri", "", "One of the product's redirect URIs, if it is not the first")
	sign := &cobra.Command{
		Use: "sign", Short: "Prints the headers that sign a request", Args: cobra.NoArgs,
		Long: `Prints the headers Date and Authorization, such as for:

  caddy sso license sign --api-key … | curl -H @- '<portal>/api/v4/sso_url?…'

The shared key may be in the environment variable ` + sharedKeyVariable + `, where
other users of the machine do not see it. No server is asked.`,
		RunE: caddycmd.WrapCommandFuncForCobra(printSignature),
	}
	sign.Flags().String("api-key", "", "The API key")
	sign.Flags().String("shared-key", "", "The shared key, if it is not in "+sharedKeyVariable)
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
	var link licenseLink
	err := callAdmin(fl, http.MethodGet, "/sso/license/url?"+query.Encode(), func(answer *json.Decoder) error { return answer.Decode(&link) })
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	fmt.Println(link.URL)
	return caddy.ExitCodeSuccess, nil
}

func printSignature(fl caddycmd.Flags) (int, error) {
	key, shared, date := fl.String("api-key"), fl.String("shared-key"), fl.String("date")
	setDefault(&shared, os.Getenv(sharedKeyVariable))
	setDefault(&date, time.Now().UTC().Format(http.TimeFormat))
	if key == "" || shared == "" {
		return caddy.ExitCodeFailedStartup, errors.New("expected --api-key, and --shared-key or the environment variable " + sharedKeyVariable)
	}
	if !oauth.CleanText(key) || !oauth.CleanText(date) {
		return caddy.ExitCodeFailedStartup, errors.New("--api-key or --date has characters that cannot stand in a header")
	}
	shared = withoutLineEnd(shared)
	if err := checkSurroundings("the shared key", shared); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	fmt.Printf("Date: %s\nAuthorization: %s\n", date, licenseapi.Authorization(key, licenseapi.NewSharedKey(shared), date))
	return caddy.ExitCodeSuccess, nil
}
