package page

// A Fault is something that went wrong, in the words of the catalogue: a title, what
// happened, and what to do next. Where that depends on the page, the page says it. Each
// fault is a variable, as each text is, so that a key that does not exist does not
// compile.
type Fault struct {
	key  string
	args args
}

func (f Fault) part(name string) Text { return Text{"fault." + f.key + "." + name, f.args} }

// The faults of this site, and of a request.
var (
	FaultAppDisabled         = Fault{key: "app_disabled"}
	FaultBadAddress          = Fault{key: "bad_address"}
	FaultBadRequest          = Fault{key: "bad_request"}
	FaultBadReturn           = Fault{key: "bad_return"}
	FaultBusy                = Fault{key: "busy"}
	FaultConsentChanged      = Fault{key: "consent_changed"}
	FaultConsentUsed         = Fault{key: "consent_used"}
	FaultCookiesBlocked      = Fault{key: "cookies_blocked"}
	FaultCookiesChanged      = Fault{key: "cookies_changed"}
	FaultCrossOrigin         = Fault{key: "cross_origin"}
	FaultFormDamaged         = Fault{key: "form_damaged"}
	FaultFormInvalid         = Fault{key: "form_invalid"}
	FaultFormNotTaken        = Fault{key: "form_not_taken"}
	FaultFormResent          = Fault{key: "form_resent"}
	FaultFormTimeout         = Fault{key: "form_timeout"}
	FaultFormTooLarge        = Fault{key: "form_too_large"}
	FaultLicenseNotReady     = Fault{key: "license_not_ready"}
	FaultLinkUsed            = Fault{key: "link_used"}
	FaultMethodNotAllowed    = Fault{key: "method_not_allowed"}
	FaultPageExpired         = Fault{key: "page_expired"}
	FaultSignOutUnregistered = Fault{key: "sign_out_unregistered"}
	FaultTooManyAnswers      = Fault{key: "too_many_answers"}
	FaultTooManyRedirects    = Fault{key: "too_many_redirects"}
	FaultUnavailable         = Fault{key: "unavailable"}
	FaultUnknownHost         = Fault{key: "unknown_host"}
	FaultWidgetExpired       = Fault{key: "widget_expired"}

	faultNoCustomer   = Fault{key: "no_customer"}
	faultNotFound     = Fault{key: "not_found"}
	faultRenderFailed = Fault{key: "render_failed"}
)

// The faults of a sign-in.
var (
	FaultAccountIDRefused    = Fault{key: "account_id_refused"}
	FaultNoSignInMethod      = Fault{key: "no_sign_in_method"}
	FaultPasswordCheckFailed = Fault{key: "password_check_failed"} // and the attempt counts
	FaultPasswordUnchecked   = Fault{key: "password_unchecked"}
	FaultSignInMethodRefused = Fault{key: "sign_in_method_refused"}
	FaultSignInMisrouted     = Fault{key: "sign_in_misrouted"}
	FaultSignInNotFinished   = Fault{key: "sign_in_not_finished"}
	FaultSignInTooSlow       = Fault{key: "sign_in_too_slow"}
	FaultSignInUsed          = Fault{key: "sign_in_used"}
	FaultStartAtApplication  = Fault{key: "start_at_application"}
	FaultTooManyAttempts     = Fault{key: "too_many_attempts"}
	FaultTooManySignIns      = Fault{key: "too_many_sign_ins"}
	FaultWrongPassword       = Fault{key: "wrong_password"}
)

// FaultAccountDisabled is for a user whom a provider knows, and who may not sign in here.
func FaultAccountDisabled(provider string) Fault {
	return Fault{"account_disabled", args{"Provider": provider}}
}

// FaultAccountNotAccepted is for an account that an application does not accept.
func FaultAccountNotAccepted(app string) Fault {
	return Fault{"account_not_accepted", args{"App": app}}
}

// FaultAnotherAccount is for a provider that names another user than the signed-in one.
func FaultAnotherAccount(here, provider, there string) Fault {
	return Fault{"another_account", args{"Here": here, "Provider": provider, "There": there}}
}

// FaultProviderDown is for a provider that does not answer.
func FaultProviderDown(provider string) Fault {
	return Fault{"provider_down", args{"Provider": provider}}
}

// FaultProviderRefused is for a provider that refuses the requests of this site.
func FaultProviderRefused(provider string) Fault {
	return Fault{"provider_refused", args{"Provider": provider}}
}

// FaultRequestTooLong is for a request that is too long to be sent to a provider.
func FaultRequestTooLong(provider string) Fault {
	return Fault{"request_too_long", args{"Provider": provider}}
}

// FaultSignInAgain is for a provider that did not ask its user to sign in again.
func FaultSignInAgain(provider string) Fault {
	return Fault{"sign_in_again", args{"Provider": provider}}
}

// FaultNotSignedInAgain is for a sign-in that had to be a fresh one, and was not.
func FaultNotSignedInAgain(app string) Fault {
	return Fault{"not_signed_in_again", args{"App": app}}
}

// FaultSignInCancelled is for a sign-in that was cancelled at the provider.
func FaultSignInCancelled(provider string) Fault {
	return Fault{"sign_in_cancelled", args{"Provider": provider}}
}
