package order

// ValidateRefundNo is for the tests of the form of a refund number.
var ValidateRefundNo = validateRefundNo
