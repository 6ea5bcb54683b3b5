;; Asks for more memory than a unit has before anything of it runs.
(component
  (core module $m (memory 1200))
  (core instance (instantiate $m)))
