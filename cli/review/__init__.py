"""`coterie review`: what people see and press when a flow asks them."""
