#pragma once

namespace foregate {

/// What may be done on standard error beside writing plain lines.
struct StderrStyle {
  bool redraws = false;  ///< a bar that is drawn again in place
  bool colors = false;
};

/// What decides it: see https://no-color.org for NO_COLOR. Null: the variable is not set.
struct StderrEnvironment {
  bool is_terminal = false;
  const char* term = nullptr;      ///< TERM
  const char* no_color = nullptr;  ///< NO_COLOR
};

/// A terminal that does not say what it is, or that it is dumb, gets plain lines as a file does.
StderrStyle stderr_style(const StderrEnvironment& environment);
/// Of this process.
StderrStyle stderr_style();

/// Columns of the terminal: `columns`, the value of COLUMNS, if it is a number that can be meant,
/// else those that the terminal says (0: it does not), else 80.
int terminal_width(const char* columns, int of_terminal);
/// Of standard error, now.
int terminal_width();

}  // namespace foregate
