package licenseapi_test

import (
	"net/http"
	"testing"
)

// PHP, Rack and qs read these as customer_account_code, or as code.
func TestAParameterThatAFrameworkTakesForAnotherIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{
		"customer.account.code", "customer_account.code", "customer%20account+code", "customer[account_code", "customer[account.code",
		"+customer_account_code", "%09%20code", "[code]", "]code", "code]", "[code][x]", "code%00x", "code%00[x", "%5Bcode%5D", "Code[]", "id.Token",
	} {
		w.wantRefused(w.send(http.MethodGet, "/api/v4/user_licenses?"+query("code", w.code())+"&"+name+"=other", ""), 400, "validation_error",
			"There is a parameter that is nearly one of [id_token code customer_account_code product redirect_uri license_key username]")
	}
}
