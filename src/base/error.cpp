#include "base/error.h"

#include <fmt/format.h>

namespace foregate {

std::string on_one_line(const std::string& message) {
  std::string line;
  line.reserve(message.size());
  for (const char character : message) {
    const auto byte = static_cast<unsigned char>(character);
    if (character == '\n') {
      line += "\\n";
    } else if (character == '\t') {
      line += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      line += fmt::format("\\x{:02x}", byte);
    } else {
      line += character;
    }
  }
  return line;
}

}  // namespace foregate
