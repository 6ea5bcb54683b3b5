;; Calls itself without end, in its start.
(component
  (core module $m (func $start (call $start)) (start $start))
  (core instance (instantiate $m)))
