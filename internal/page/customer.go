package page

// NoCustomer says to a user of a customer account that it does not exist, or no longer
// does. It does not say which: that is between the vendor and the customer.
func NoCustomer() Message {
	return Message{
		Fault:     faultNoCustomer,
		Reference: "Provided customer account was not found, or has no SSO",
	}
}
