#pragma once

#include <filesystem>
#include <memory>

#include "text/datasets/columns.h"
#include "text/datasets/row_reader.h"

namespace foregate::text {

/// Openers of the file formats. All throw EnvironmentError for a missing file and DataError for a
/// missing column or a file that is not of the format at all.

/// Comma- or tab-separated values, with or without a header.
std::unique_ptr<RowReader> open_csv(const std::filesystem::path& path, char separator,
                                    const ColumnRequest& request);
/// A JSON array of objects or strings, an object that holds one, SQuAD's layout, or JSON lines.
std::unique_ptr<RowReader> open_json(const std::filesystem::path& path,
                                     const ColumnRequest& request);
/// One JSON object or string a line.
std::unique_ptr<RowReader> open_json_lines(const std::filesystem::path& path,
                                           const ColumnRequest& request);
std::unique_ptr<RowReader> open_parquet(const std::filesystem::path& path,
                                        const ColumnRequest& request);
/// Arrow's IPC format, file or stream (what the datasets library caches).
std::unique_ptr<RowReader> open_arrow(const std::filesystem::path& path,
                                      const ColumnRequest& request);
/// One text a line.
std::unique_ptr<RowReader> open_lines(const std::filesystem::path& path);

}  // namespace foregate::text
