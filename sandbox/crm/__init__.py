"""A stand-in for the CRM: the customers it is the master of, served as ``o2c.crm.v1``."""
