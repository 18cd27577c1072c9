package page

import "strings"

// A Text is one of the catalogue, with the values that stand in it. The zero value is
// no text.
type Text struct {
	key  string
	args args
}

// args are the values that stand in a text, by name.
type args map[string]string

// The labels of links.
var (
	LinkAnotherAccount = Text{key: "link.another_account"}
	LinkGoOn           = Text{key: "link.go_on"}
	LinkSignInPage     = Text{key: "link.sign_in_page"}
	LinkSignOut        = Text{key: "link.sign_out"}
	LinkStartAgain     = Text{key: "link.start_again"}
	LinkStartPage      = Text{key: "link.start_page"}
	LinkTryAgain       = Text{key: "link.try_again"}

	linkAccount = Text{key: "link.account"}
)

// LinkStay is the label of a link that leaves a user signed in.
func LinkStay(user string) Text { return Text{"link.stay", args{"User": user}} }

// LinkSwitch is the label of a link to the account at a provider.
func LinkSwitch(provider string) Text { return Text{"link.switch", args{"Provider": provider}} }

// The titles of pages that lead on.
var (
	DoneAllowed     = Text{key: "done.allowed"}
	DoneNotAllowed  = Text{key: "done.not_allowed"}
	DoneSignInAgain = Text{key: "done.sign_in_again"}
	DoneSignedIn    = Text{key: "done.signed_in"}
	DoneSignedOut   = Text{key: "done.signed_out"}
	DoneSigningIn   = Text{key: "done.signing_in"}
	DoneSigningOut  = Text{key: "done.signing_out"}

	doneNotSignedIn = Text{key: "done.not_signed_in"}
)

// The reasons of a fault that can have several.
var (
	ReasonAnswerCrossSite    = Text{key: "reason.answer_cross_site"}
	ReasonAnswerDamaged      = Text{key: "reason.answer_damaged"}
	ReasonAnswerOtherBrowser = Text{key: "reason.answer_other_browser"}
	ReasonAnswerOtherMethod  = Text{key: "reason.answer_other_method"}
	ReasonAnswerPosted       = Text{key: "reason.answer_posted"}
	ReasonAnswerRefused      = Text{key: "reason.answer_refused"}
	ReasonAnswerUnknown      = Text{key: "reason.answer_unknown"}
	ReasonCookies            = Text{key: "reason.cookies"}
	ReasonNotSignedIn        = Text{key: "reason.not_signed_in"}
	ReasonSessionMissing     = Text{key: "reason.session_missing"}
	ReasonWrongClock         = Text{key: "reason.wrong_clock"}
	ReasonWrongHost          = Text{key: "reason.wrong_host"}
)

// ReasonAccountAtProvider says who a user is at a provider.
func ReasonAccountAtProvider(provider, user string) Text {
	return Text{"reason.account_at_provider", args{"Provider": provider, "User": user}}
}

// ReasonProviderAnswer says that the answer of a provider cannot be used.
func ReasonProviderAnswer(provider string) Text {
	return Text{"reason.provider_answer", args{"Provider": provider}}
}

// ReasonProviderNotFinished says that a user was not signed in with a provider.
func ReasonProviderNotFinished(provider string) Text {
	return Text{"reason.provider_not_finished", args{"Provider": provider}}
}

// What to do next, where that depends on the page.
var (
	NextAllowCookies       = Text{key: "next.allow_cookies"}
	NextAnswerAgain        = Text{key: "next.answer_again"}
	NextPasswordAgain      = Text{key: "next.password_again"}
	NextPasswordNotChecked = Text{key: "next.password_not_checked"}
	NextStartAtPage        = Text{key: "next.start_at_page"}
	NextStartAtSignIn      = Text{key: "next.start_at_sign_in"}
	NextTryAgainOrTell     = Text{key: "next.try_again_or_tell"}
	NextTryLaterOrTell     = Text{key: "next.try_later_or_tell"}
	NextWaitAndRestart     = Text{key: "next.wait_and_restart"}
)

// Why a user has no access: see [Denied].
var DeniedAccount = Text{key: "denied.account"}

// DeniedGroups says which groups a page is for.
func DeniedGroups(groups []string) Text {
	if len(groups) == 1 {
		return Text{"denied.group", args{"Group": groups[0]}}
	}
	return Text{"denied.groups", args{"Groups": strings.Join(groups, ", ")}}
}

// Why a form is not kept: see [UnsentForm].
var (
	FormCrossOrigin = Text{key: "unsent_form.cross_origin"}
	FormIncomplete  = Text{key: "unsent_form.incomplete"}
	FormNotKept     = Text{key: "unsent_form.not_kept"}
	FormTooLarge    = Text{key: "unsent_form.too_large"}
)
