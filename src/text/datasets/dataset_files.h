#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "text/datasets/columns.h"
#include "text/datasets/row_reader.h"

namespace foregate::text {

/// The file itself; or the files of known formats in a directory and below; or what a pattern with
/// *, ?, [] and ** (any folders) matches, directories in it read likewise; folders the pattern
/// begins with are taken as they are called, if there are such. Sorted by path. Of directories
/// hidden files, the hub's metadata, and text files beside tables (notes, licences) are left out.
/// Throws EnvironmentError if there is nothing of that name, DataError if a directory holds no such
/// file.
std::vector<std::filesystem::path> dataset_files(const std::filesystem::path& path);

/// What dataset_files() reads of a directory with the files `paths`: known formats, without hidden
/// files, the hub's metadata, and text files beside tables. In the same order.
std::vector<std::filesystem::path> readable_files(const std::vector<std::filesystem::path>& paths);

/// Opens one file by its extension (that of a compressed file stands before .gz, .zst, .bz2, .lz4)
/// or, failing that, by its first bytes. Throws what the format's reader throws, and DataError if
/// the format is not known.
std::unique_ptr<RowReader> open_file(const std::filesystem::path& path,
                                     const ColumnRequest& request);

}  // namespace foregate::text
