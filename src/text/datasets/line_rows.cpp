#include "base/text_file.h"
#include "text/datasets/readers.h"

namespace foregate::text {
namespace {

class LineRows : public RowReader {
 public:
  explicit LineRows(const std::filesystem::path& path) : file_(path) {}

  bool next(Row& row) override {
    if (position_ >= file_.text().size()) return false;
    const std::string_view line = next_line(file_.text(), position_);
    row.problem = line.size() > kMaxRowBytes ? kRowTooLong : "";
    row.text = row.problem.empty() ? line : std::string_view();
    return true;
  }

  std::string description() const override { return "lines"; }

 private:
  TextFile file_;
  size_t position_ = 0;
};

}  // namespace

std::unique_ptr<RowReader> open_lines(const std::filesystem::path& path) {
  return std::make_unique<LineRows>(path);
}

}  // namespace foregate::text
