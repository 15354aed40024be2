#include "output.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace foregate {

void print_line(const std::string& line) {
  const bool written = std::fwrite(line.data(), 1, line.size(), stdout) == line.size() &&
                       std::fputc('\n', stdout) != EOF && std::fflush(stdout) == 0;
  if (!written) throw EnvironmentError("cannot write the result to standard output");
}

void print_text(std::string_view text) {
  const bool written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!written) throw EnvironmentError("cannot write the result to standard output");
}

void print_json(const Json& json) {
  print_line(json.dump(2, ' ', false, Json::error_handler_t::replace));
}

}  // namespace foregate
