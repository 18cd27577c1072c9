package page

// NoCustomer says to a user of a customer account that it is not there, or not any
// more. It does not say which: that is between the vendor and the customer.
func NoCustomer() Message {
	return Message{
		Title:     "Your organisation cannot sign in here",
		Text:      "Its account is not there any more, or may not use this product. You have not been signed in.",
		Next:      "Ask the people who gave you the application.",
		Reference: "Provided customer account was not found, or has no SSO",
	}
}
