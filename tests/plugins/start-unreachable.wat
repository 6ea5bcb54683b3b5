;; Reaches what it holds unreachable, in its start.
(component
  (core module $m (func $start (unreachable)) (start $start))
  (core instance (instantiate $m)))
