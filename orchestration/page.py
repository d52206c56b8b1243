def page(flow, events=()):
    raise NotImplementedError
