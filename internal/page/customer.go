package page

// NoCustomer tells a user that a customer account does not exist, or exists no
// longer. It does not tell which, since that is private to the vendor and the
// customer.
func NoCustomer() Message {
	return Message{
		Fault:     faultNoCustomer,
		Reference: "Provided customer account was not found, or has no SSO",
	}
}
