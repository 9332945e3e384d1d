// As much of GGUF as a model in 32-bit floats needs.
#ifndef GGUF_HPP
#define GGUF_HPP

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

/// A matrix of the file, row-major [rows, columns]; a vector has one row.
struct Matrix {
    const float* data = nullptr;
    std::size_t rows = 1;
    std::size_t columns = 0;
    std::size_t size() const { return rows * columns; }
};

/// A GGUF file, mapped into memory.
class Gguf {
public:
    explicit Gguf(const std::string& path) {
        const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        struct stat info;
        if (fd < 0 || ::fstat(fd, &info) != 0) throw std::runtime_error("cannot open " + path);
        size_ = static_cast<std::size_t>(info.st_size);
        void* map = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
        ::close(fd);
        if (map == MAP_FAILED) throw std::runtime_error("cannot map " + path);
        data_ = static_cast<const unsigned char*>(map);
        read_header(path);
    }
    Gguf(const Gguf&) = delete;
    Gguf& operator=(const Gguf&) = delete;

    std::string text(const std::string& key) const { return texts_.at(key); }
    double number(const std::string& key) const {
        const auto found = numbers_.find(key);
        if (found == numbers_.end()) throw std::runtime_error("the model has no `" + key + "`");
        return found->second;
    }
    double number_or(const std::string& key, double fallback) const {
        const auto found = numbers_.find(key);
        return found == numbers_.end() ? fallback : found->second;
    }
    /// Empty where the file has no such tensor.
    Matrix find(const std::string& name) const {
        const auto found = tensors_.find(name);
        return found == tensors_.end() ? Matrix() : found->second;
    }
    Matrix get(const std::string& name) const {
        const Matrix matrix = find(name);
        if (matrix.data == nullptr) throw std::runtime_error("the model has no `" + name + "`, or not in 32-bit floats");
        return matrix;
    }

private:
    template <class T>
    T take() {
        T value;
        if (at_ + sizeof value > size_) throw std::runtime_error("the model is cut off");
        std::memcpy(&value, data_ + at_, sizeof value);
        at_ += sizeof value;
        return value;
    }
    std::string take_text() {
        const auto length = take<std::uint64_t>();
        if (length > size_ - at_) throw std::runtime_error("the model is cut off");
        at_ += length;
        return std::string(reinterpret_cast<const char*>(data_ + at_ - length), length);
    }
    /// A value of the numbered types of the GGUF specification; only numbers and text are kept.
    void take_value(const std::string& key, std::uint32_t type) {
        switch (type) {
            case 0: case 7: numbers_[key] = take<std::uint8_t>(); break;
            case 1: numbers_[key] = take<std::int8_t>(); break;
            case 2: numbers_[key] = take<std::uint16_t>(); break;
            case 3: numbers_[key] = take<std::int16_t>(); break;
            case 4: numbers_[key] = take<std::uint32_t>(); break;
            case 5: numbers_[key] = take<std::int32_t>(); break;
            case 6: numbers_[key] = static_cast<double>(take<float>()); break;
            case 8: texts_[key] = take_text(); break;
            case 9: {
                const auto of = take<std::uint32_t>();
                const auto count = take<std::uint64_t>();
                for (std::uint64_t i = 0; i < count; ++i) take_value(key + "[]", of);
                break;
            }
            case 10: numbers_[key] = static_cast<double>(take<std::uint64_t>()); break;
            case 11: numbers_[key] = static_cast<double>(take<std::int64_t>()); break;
            case 12: numbers_[key] = take<double>(); break;
            default: throw std::runtime_error("a value of unknown type " + std::to_string(type));
        }
    }
    void read_header(const std::string& path) {
        if (size_ < 24 || std::memcmp(data_, "GGUF", 4) != 0) throw std::runtime_error(path + " is not GGUF");
        at_ = 8;
        const auto tensor_count = take<std::uint64_t>();
        const auto value_count = take<std::uint64_t>();
        for (std::uint64_t i = 0; i < value_count; ++i) {
            const std::string key = take_text();
            take_value(key, take<std::uint32_t>());
        }
        std::map<std::string, std::uint64_t> offsets;
        for (std::uint64_t i = 0; i < tensor_count; ++i) {
            const std::string name = take_text();
            const auto axes = take<std::uint32_t>();
            Matrix matrix;
            for (std::uint32_t axis = 0; axis < axes; ++axis) {  // innermost first
                const auto extent = static_cast<std::size_t>(take<std::uint64_t>());
                if (axis == 0) matrix.columns = extent;
                else matrix.rows *= extent;
            }
            const auto type = take<std::uint32_t>();
            const auto offset = take<std::uint64_t>();
            if (type != 0) continue;  // 0 = f32
            tensors_[name] = matrix;
            offsets[name] = offset;
        }
        const auto alignment = static_cast<std::size_t>(number_or("general.alignment", 32));
        const std::size_t start = (at_ + alignment - 1) / alignment * alignment;
        for (auto& [name, matrix] : tensors_) {
            if (start + offsets[name] + matrix.size() * 4 > size_) throw std::runtime_error("the model is cut off");
            matrix.data = reinterpret_cast<const float*>(data_ + start + offsets[name]);
        }
    }

    const unsigned char* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t at_ = 0;
    std::map<std::string, double> numbers_;
    std::map<std::string, std::string> texts_;
    std::map<std::string, Matrix> tensors_;
};

#endif
