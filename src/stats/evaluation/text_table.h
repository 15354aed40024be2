#pragma once

#include <string>
#include <vector>

namespace foregate::stats {

/// Lines of cells, all of the same number.
using Cells = std::vector<std::vector<std::string>>;

/// How cells become text.
struct Alignment {
  size_t indent = 2;  ///< blanks in front of every line
  size_t left = 1;    ///< so many columns are padded to the left, the others to the right
};

/// The cells as text, each column padded to its widest; nothing behind a line's last cell that is
/// not empty.
std::string aligned(const Cells& cells, const Alignment& alignment = {});
/// Characters of the longest line that this may give.
size_t aligned_width(const Cells& cells, const Alignment& alignment = {});

/// The text if it is no longer, else its end behind "..": of a path what tells it from others.
std::string shortened_in_front(const std::string& text, size_t columns);
/// Else its beginning, before "..".
std::string shortened_behind(const std::string& text, size_t columns);

}  // namespace foregate::stats
