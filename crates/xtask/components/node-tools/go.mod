module localcluster

go 1.24.0
