import CPlatform

/// What a thread asks of the system's scheduler. All of these are wishes: where the system does not
/// know or allow one, the thread goes on as before. An ordinary user cannot take them back, but for
/// `raise` where the system lets him.
package enum ThreadPriority {
    /// The calling thread, and those that it makes from now on, run only while a processor has nothing
    /// else to do, and leave it at once when it has. For work that may take as long as it likes.
    package static func runWhenIdle() {
        if !patron_run_when_idle() { patron_be_nice(19) }
    }

    /// Whether a thread that runs when idle can be made to run as usual again: on Linux with a limit of
    /// nice values (`RLIMIT_NICE`) that covers its own, or as root.
    package static let canBeRaised = patron_can_run_as_usual_again()

    /// The system's number of the calling thread, for `raise`.
    package static var currentThread: Int32 { patron_thread_number() }

    /// A thread of this process that runs when idle runs as usual again, because others wait for what
    /// it holds. It lasts until the thread asks for something else.
    package static func raise(_ thread: Int32) { _ = patron_run_as_usual(thread) }

    /// The calling thread gets a tenth of what others get where they all want the processor.
    package static func giveWay() { patron_be_nice(10) }

    /// The calling thread's turns become short, so that they come soon after it is woken: 100
    /// microseconds, the least that Linux gives, from 6.12 on. For threads that answer requests.
    package static func preferShortTurns() { patron_ask_for_short_turns(100_000) }
}
