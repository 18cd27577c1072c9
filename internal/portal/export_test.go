package portal

// What tests of this package look at, too.
const DeviceLabel = deviceLabel
const EndOthers = endOthers
const MaxContext = maxContext
const MaxForm = maxForm
const MaxLogoutRequest = maxLogoutRequest
const MaxState = maxState
const MaxTicketRequest = maxTicketRequest
const TransactionLifetime = transactionLifetime
const UnmarkedLifetime = unmarkedLifetime
const WidgetLifetime = widgetLifetime

type KnownDevice = knownDevice
type TicketAnswer = ticketAnswer

var DeviceName = deviceName
