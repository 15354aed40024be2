#include "report/page/written_files.h"

#include <cerrno>
#include <fstream>
#include <sstream>

#include "base/files.h"

namespace foregate::report {
namespace {

/// A name of a file in the folder; a list that somebody changed may hold anything.
bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos;
}

}  // namespace

WrittenFiles::WrittenFiles(const fs::path& directory, const std::string& list)
    : directory_(directory), list_(directory / list) {
  make_output_directory(directory);
  if (!fs::exists(list_)) return;
  std::istringstream lines(read_file(list_));
  for (std::string name; std::getline(lines, name);) {
    if (is_plain_name(name)) earlier_.insert(name);
  }
}

void WrittenFiles::add(const std::string& name) {
  now_.insert(name);
  if (earlier_.contains(name)) return;
  std::ofstream list(list_, std::ios::app);
  list << name << '\n';
  if (!list.flush()) throw_io_error("cannot write", list_, errno);
}

void WrittenFiles::finish() {
  std::error_code ignored;
  std::string names;
  for (const std::string& name : now_) names += name + '\n';
  for (const std::string& name : earlier_) {
    if (!now_.contains(name)) fs::remove(directory_ / name, ignored);
  }
  if (now_.empty()) {
    fs::remove(list_, ignored);
  } else {
    write_file_atomically(list_, names);
  }
}

}  // namespace foregate::report
