;; Has more memories than a unit may, each of them small.
(component
  (core module $m (memory 1) (memory 1) (memory 1) (memory 1) (memory 1))
  (core instance (instantiate $m)))
