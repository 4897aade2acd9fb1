"""From files to arrays on one grid."""
