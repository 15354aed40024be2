#pragma once

// The Arrow types that trace/ names in its internal headers; their definitions stay in .cpp files.

namespace arrow {

class Array;
class DataType;
class Field;
class KeyValueMetadata;
class RecordBatch;
class Schema;
class Table;

namespace io {
class OutputStream;
}  // namespace io

}  // namespace arrow
